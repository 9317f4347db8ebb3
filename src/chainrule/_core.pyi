def instruction_sets() -> list[str]:
    """Instruction sets that this machine can run, the best one last."""

def fma_peak(dtype: str, threads: int, seconds: float, instruction_set: str = "") -> float:
    """Measured floating-point peak in GFLOP/s; an empty instruction_set takes the best."""
