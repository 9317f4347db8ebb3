"""Execution: runs a captured graph, by NumPy or by the native core."""
