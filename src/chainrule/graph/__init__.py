"""The computational graph: nodes, operations, and back-propagation through them."""
