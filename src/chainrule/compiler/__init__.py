"""From a function of Tensors to one static graph."""
