"""pytabkit on one table, in its own Python: `python -m benchmarks.with_pytabkit FOLDER NAME SPLIT
SEED MODEL THREADS` prints the error and the seconds of the training as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from benchmarks.tables import filled, split


def main(folder: str, name: str, number: int, seed: int, model: str, threads: int) -> None:
    """Fit one model, and print what was measured."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import pytabkit

    data = filled(split(Path(folder), name, number))
    kind = "Classifier" if data.is_classification else "Regressor"
    estimator = getattr(pytabkit, f"{model}_{kind}")(
        random_state=seed, n_threads=threads, device="cpu"
    )
    begin = time.perf_counter()
    estimator.fit(data.x, data.y)
    seconds = time.perf_counter() - begin
    print(json.dumps({"error": data.error(estimator.predict(data.x_test)), "seconds": seconds}))


if __name__ == "__main__":
    folder, name, number, seed, model, threads = sys.argv[1:]
    main(folder, name, int(number), int(seed), model, int(threads))
