"""From a function of Tensors to a plan: capture, passes, schedule, fusion, memory, instructions."""
