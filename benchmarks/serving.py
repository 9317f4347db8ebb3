"""Single rows by `Predictor` and by HTTP, beside FastAPI: `python -m benchmarks.serving`.

The same network of 50 numbers, 3 x 256 and one output. Each server is a process of its own; the
clients are threads with a connection each, which ask for one row after another. Of a larger network
the `Predictor` is measured alone, in one thread.
"""

from __future__ import annotations

import http.client
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np

import chainrule as cr
from benchmarks import networks
from benchmarks.with_chainrule import build
from benchmarks.worker import prediction_rows, time_of
from chainrule import nn

LARGE = "784-512-512-10:64"
FEATURES, HIDDEN, CLIENTS, ROWS, ROUNDS = 50, 256, 8, 16_000, 3


def network() -> nn.Sequential:
    """The network, with the same weights in every process."""
    cr.manual_seed(0)
    widths = [FEATURES, HIDDEN, HIDDEN, HIDDEN]
    layers: list[nn.Module] = []
    for width, after in pairwise(widths):
        layers += [nn.Linear(width, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(HIDDEN, 1))


def asked(rows: int) -> np.ndarray[Any, Any]:
    """The rows that are asked for."""
    return np.random.default_rng(0).normal(size=(rows, FEATURES)).astype("float32")


def serve_pytorch(port: int) -> None:
    """FastAPI with PyTorch, as its tutorials write it: one thread computes a row."""
    import torch
    import uvicorn
    from fastapi import Body, FastAPI

    torch.set_num_threads(1)
    layers = [
        torch.nn.Linear(*layer.weight.shape[::-1]) if isinstance(layer, nn.Linear)
        else torch.nn.ReLU() for layer in network()
    ]  # fmt: skip
    model = torch.nn.Sequential(*layers)
    model.load_state_dict(
        {name: torch.tensor(array) for name, array in network().state_dict().items()}
    )

    app = FastAPI()
    given = Body(embed=True)

    @app.post("/predict")
    async def predict(rows: list[list[float]] = given) -> dict[str, list[list[float]]]:
        with torch.inference_mode():
            return {"predictions": model(torch.tensor(rows)).tolist()}

    uvicorn.run(app, port=port, log_level="warning", access_log=False)


@contextmanager
def server(command: list[str], port: int) -> Any:
    """A process that serves at a port."""
    process = subprocess.Popen(command)
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), 0.1).close()
                break
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError(f"{command} has ended") from None
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def measure(
    ask: Callable[[], Callable[[int], Any]], expected: np.ndarray[Any, Any]
) -> dict[str, float]:
    """Rows a second, and the median and the 99th percentile of an answer's time.

    Args:
        ask: makes what one client calls with a row's number.
        expected: the right answers; a wrong one raises.
    """

    def client(number: int) -> list[float]:
        call, times = ask(), []
        for row in range(number, len(expected), CLIENTS):
            start = time.perf_counter()
            found = call(row)
            times.append(time.perf_counter() - start)
            if abs(float(np.ravel(found)[0]) - expected[row]) > 1e-4:
                raise RuntimeError(f"row {row}: {found}, not {expected[row]}")
        return times

    start = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as threads:
        times = [t for found in threads.map(client, range(CLIENTS)) for t in found]
    seconds = time.perf_counter() - start
    return {
        "rows/s": len(times) / seconds,
        "p50 us": statistics.median(times) * 1e6,
        "p99 us": float(np.quantile(times, 0.99)) * 1e6,
    }


def by_http(port: int, bodies: list[str]) -> Callable[[], Callable[[int], Any]]:
    """A client with a connection of its own."""

    def ask() -> Callable[[int], Any]:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        headers = {"content-type": "application/json"}

        def call(row: int) -> Any:
            connection.request("POST", "/predict", bodies[row], headers)
            response = connection.getresponse()
            answer = response.read()
            if response.status != 200:
                raise RuntimeError(answer)
            return json.loads(answer)["predictions"]

        return call

    return ask


def alone(seconds: float) -> float:
    """The median time of one row of the larger network by a `Predictor`, asked in one thread."""
    (chosen,) = (each for each in networks.NETWORKS if each.name == LARGE)
    model, _ = build(chosen, networks.first_parameters(chosen))
    predictor = cr.Predictor(model)
    x = prediction_rows(chosen, 1)
    predictor.predict(x)
    return time_of(lambda: predictor.predict(x), seconds)


@click.command()
@click.option("--rows", default=ROWS, show_default=True)
@click.option("--rounds", default=ROUNDS, show_default=True)
@click.option("--pytorch-at", hidden=True, type=int)
def main(rows: int, rounds: int, pytorch_at: int | None) -> None:
    """Measure single rows in process and by HTTP."""
    if pytorch_at is not None:
        serve_pytorch(pytorch_at)
        return
    x = asked(rows)
    predictor = cr.Predictor(network())
    expected = np.array([predictor.predict(x[i : i + 1])[0, 0] for i in range(rows)])
    bodies = [json.dumps({"rows": [row]}) for row in x.tolist()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        data = {"shape": [FEATURES], "columns": None, "target": None}
        cr.save(network(), path, {"classes": None, "data": data})
        ports = free_port(), free_port()
        commands = {
            "chainrule serve": [
                sys.executable, "-m", "chainrule", "serve", str(path), "--port", str(ports[0])
            ],
            "FastAPI + PyTorch": [
                sys.executable, "-m", "benchmarks.serving", "--pytorch-at", str(ports[1])
            ],
        }  # fmt: skip
        if not (find_spec("fastapi") and find_spec("torch")):
            click.echo("fastapi or torch is not installed: no FastAPI + PyTorch")
            del commands["FastAPI + PyTorch"]
        found: dict[str, list[dict[str, float]]] = {}
        for _ in range(rounds):

            def in_process() -> Callable[[int], Any]:
                return lambda row: predictor.predict(x[row : row + 1])

            found.setdefault("Predictor, 8 threads", []).append(measure(in_process, expected))
            for (name, command), port in zip(commands.items(), ports, strict=False):
                with server(command, port):
                    measure(by_http(port, bodies[:400]), expected[:400])
                    found.setdefault(name, []).append(measure(by_http(port, bodies), expected))
    for name, runs in found.items():
        middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        figures = "  ".join(f"{key} {value:9,.0f}" for key, value in middle.items())
        click.echo(f"{name:22} {figures}")
    click.echo(
        f"Predictor, asked by 1 thread, a row of {LARGE.partition(':')[0]}: {alone(1) * 1e6:.0f} us"
    )


if __name__ == "__main__":
    main()
