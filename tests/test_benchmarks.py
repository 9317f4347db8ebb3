"""benchmarks/: its formulas, its options, and one tiny run."""

import dataclasses
import gzip
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import __main__ as command  # noqa: E402
from benchmarks import architectures, libraries, networks, report, runner  # noqa: E402
from benchmarks.models import ARCHITECTURES  # noqa: E402
from benchmarks.networks import NETWORKS, Network  # noqa: E402

from chainrule.data import datasets  # noqa: E402

bench = importlib.import_module("chainrule.cli.bench")  # cli.bench may be the command


@pytest.fixture(autouse=True)
def environment():
    """What a benchmark sets for its peers, as CHAINRULE_NUM_THREADS, is not left to other tests."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


TINY = Network((4, 16, 16, 3), 32, rows=320)


def run(*arguments):
    return CliRunner().invoke(command.main, arguments)


def test_a_folded_layer_is_the_layer_and_its_normalisation():
    random = np.random.default_rng(0)
    weight, x = random.standard_normal((3, 4)), random.standard_normal((7, 4))
    bias, gain, shift, mean = random.standard_normal((4, 3))
    variance = random.uniform(1, 2, 3)
    folded_weight, folded_bias = networks.folded(weight, bias, gain, shift, mean, variance)
    z = x @ weight.T + bias
    expected = (z - mean) / np.sqrt(variance + networks.EPSILON) * gain + shift
    np.testing.assert_allclose(x @ folded_weight.T + folded_bias, expected)


def test_a_regularized_network_is_for_those_that_have_it():
    network = Network((4, 3, 2), 2, "adam", rows=4, regularized=True)
    assert network.name == "4-3-2:2:adam:regularized"
    assert network.parameters == 4 * 3 + 3 + 2 * 3 + 3 * 2 + 2
    left_out = [library.name for library in libraries.LIBRARIES if not library.regularizes]
    assert left_out == ["sklearn", "numpy"]
    by_hand = libraries.find_libraries(["numpy"])
    assert runner.measure(network, by_hand, threads=1, rounds=1, seconds=0.01).training == []


def test_parameters_and_flops_of_a_step():
    # w = 401,408 + 262,144 + 5,120; biases 512 + 512 + 10
    network = Network((784, 512, 512, 10), 64)
    assert network.parameters == 669_706
    # 128 (3 * 668,672 - 401,408)
    assert network.flops_per_step == 205_389_824
    assert round(network.flops_per_step / 1e6) == 205


# LeNet-5: 28 x 28 places of 6 x 25 weights, without a gradient of the images; 10 x 10 of 16 x 150.
LENET_PRODUCTS = [2 * 784 * 150, 3 * 100 * 2400, 3 * 400 * 120, 3 * 120 * 84, 3 * 84 * 10]
# GPT, of a place: 4 blocks of 12 x 128^2 weights, 64 / 2 keys and values of 128, and the head.
GPT_PRODUCTS = [3 * 4 * (12 * 128**2 + 2 * 32 * 128), 3 * 65 * 128]
# LSTM, of a place: four gates of 64 inputs and 128 states, and the head.
LSTM_PRODUCTS = [3 * 4 * 128 * (64 + 128), 3 * 65 * 128]


@pytest.mark.parametrize(
    "name, products, outputs",
    [
        ("lenet", 64 * sum(LENET_PRODUCTS), (10,)),
        ("gpt", 12 * 64 * sum(GPT_PRODUCTS), (64, 65)),
        ("lstm", 32 * 64 * sum(LSTM_PRODUCTS), (64, 65)),
    ],
)
def test_an_architecture_counts_its_flops_and_learns(name, products, outputs):
    architecture = ARCHITECTURES[name]
    x, y = architecture.data(architecture.batch)
    training = architectures.WithChainrule(name, x, y)
    assert training.flops == 2 * products
    before = networks.cross_entropy(training.predict(x), y)
    training.train_epoch()
    assert training.predict(x[:3]).shape == (3, *outputs)
    assert networks.cross_entropy(training.predict(x), y) < before


def test_a_peer_that_ends_is_left_out_of_an_architecture(monkeypatch):
    def measure(console, name, libraries, rounds, seconds):
        if library := next((each for each in libraries if each in ending), None):
            raise architectures.LibraryEndedError(library, "predict")
        console.print(f"measured {', '.join(libraries)}")

    monkeypatch.setattr(architectures, "measure", measure)
    monkeypatch.setattr(architectures, "limit_cpus", lambda threads: None)
    monkeypatch.setattr(architectures, "find_spec", lambda module: True)
    options = ["--network", "lenet", "--library", "PyTorch", "--library", "JAX"]
    ending = ["JAX"]
    result = CliRunner().invoke(architectures.main, options)
    assert "lenet: JAX has ended in 'predict' and is left out" in result.output
    assert "measured chainrule, PyTorch\n" in result.output and result.exit_code == 0
    ending = ["chainrule"]
    assert CliRunner().invoke(architectures.main, options).exit_code == 1


def test_a_worker_of_an_architecture_whose_process_ends():
    worker = architectures.Worker("chainrule", "lenet")
    assert worker.call("flops") > 0
    worker._process.kill()
    for _ in range(2):  # while it ends, and later
        with pytest.raises(architectures.LibraryEndedError, match="chainrule has ended in 'loss'"):
            worker.call("loss")
    worker.close()


def test_every_step_of_an_epoch_has_the_same_rows():
    assert all(n.rows % n.batch == 0 for n in NETWORKS)
    assert all(n.rows // 4 % n.batch == 0 for n in NETWORKS[: command.QUICK_NETWORKS])


def test_the_short_form_measures_the_same_networks():
    for (sizes, batch), network in zip(bench.NETWORKS, NETWORKS, strict=False):
        assert (sizes, batch) == (network.sizes, network.batch)
        assert bench.flops_per_step(sizes, batch) == network.flops_per_step
        assert network.rows // 4 == bench.ROWS


def test_networks_by_name():
    names = [network.name for network in networks.find_networks(["784-512-512-10:64"])]
    plain, adam = "784-512-512-10:64", "784-512-512-10:64:adam"
    assert names == [plain, adam, f"{adam}:regularized"]
    assert networks.find_networks([]) == list(NETWORKS)
    with pytest.raises(ValueError, match="no network '1-2'; there are 4-16-16-3:32"):
        networks.find_networks(["1-2"])


def write_idx(path, array, pack=bytes):
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(pack(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()))


@pytest.fixture
def mnist_folder(tmp_path):
    """Six images, in two of the known forms of file names."""
    random = np.random.default_rng(0)
    for part in ("train", "t10k"):
        images = random.integers(0, 256, (6, 28, 28), np.uint8)
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", images, gzip.compress)
        write_idx(tmp_path / f"{part}-labels.idx1-ubyte", random.integers(0, 10, 6, np.uint8))
    return str(tmp_path)


def test_networks_on_mnist(mnist_folder):
    plain, adam = (
        Network((784, 512, 512, 10), 64, optimizer, mnist=mnist_folder)
        for optimizer in ("sgd", "adam")
    )
    assert (plain.name, adam.name) == (
        "784-512-512-10:64:mnist",
        "784-512-512-10:64:adam:mnist",
    )
    assert networks.find_networks([], mnist_folder) == [*NETWORKS, plain, adam]
    assert networks.find_networks([plain.name], mnist_folder) == [plain]
    with pytest.raises(ValueError, match="no network '784-512-512-10:64:mnist'"):
        networks.find_networks([plain.name])


def test_data_of_mnist(mnist_folder):
    expected = datasets.mnist(mnist_folder)
    x, y = networks.make_data(Network((784, 3, 10), 2, rows=4, mnist=mnist_folder))
    assert (x.dtype, y.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(x, expected.x_train[:4].reshape(4, 784))
    np.testing.assert_array_equal(y, expected.y_train[:4])


def test_data_of_mnist_are_read_without_chainrule(mnist_folder):
    # A worker that has imported chainrule before does not measure its import.
    source = (
        "import sys\n"
        "from benchmarks import networks\n"
        f"networks.make_data(networks.Network((784, 10), 2, rows=4, mnist={mnist_folder!r}))\n"
        "assert 'chainrule' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", source], cwd=ROOT, check=True)


def test_missing_images_are_refused(mnist_folder):
    chosen = ["--network", "784-512-512-10:64:mnist", "--library", "numpy", "--rounds", "1"]
    result = run("--mnist", mnist_folder, *chosen)
    assert result.exit_code == click.UsageError.exit_code
    assert "has 6 rows, 10240 are needed" in result.output
    Path(mnist_folder, "train-labels.idx1-ubyte").unlink()
    with pytest.raises(ValueError, match="no train-labels"):
        networks.make_data(Network((784, 10), 2, rows=4, mnist=mnist_folder))
    result = run("--network", "784-512-512-10:64:mnist")
    assert result.exit_code == click.UsageError.exit_code
    assert "no network '784-512-512-10:64:mnist'" in result.output


def test_a_tiny_run_on_mnist(mnist_folder):
    network = Network((784, 3, 10), 2, rows=6, mnist=mnist_folder)
    numpy_alone = libraries.find_libraries(["numpy"])
    found = runner.measure(network, numpy_alone, threads=1, rounds=1, seconds=0.001)
    assert found.failed == {}
    (measured,) = found.training
    assert measured.warm_up["loss"] < measured.warm_up["first_loss"]


def test_libraries_by_name_and_family():
    def names(*chosen):
        return [library.name for library in libraries.find_libraries(chosen)]

    assert names("jax") == ["jax-jit", "jax-scan"]
    assert names("jax-scan", "numpy") == ["jax-scan", "numpy"]
    assert len(names()) == len(libraries.LIBRARIES)
    assert {library.family for library in libraries.LIBRARIES} == set(libraries.FAMILIES)
    with pytest.raises(ValueError, match="no library 'keras'"):
        names("keras")


def test_unknown_names_and_too_many_threads_are_refused():
    for arguments in (["--network", "99-1"], ["--library", "keras"], ["--threads", "100000"]):
        result = run(*arguments)
        assert result.exit_code == 2
        assert arguments[1] in result.output


def test_a_tiny_run(monkeypatch, tmp_path):
    monkeypatch.setattr(command, "find_networks", lambda names, mnist: [TINY])
    monkeypatch.setattr(command, "limit_cpus", lambda threads: None)
    monkeypatch.setattr(command, "PREDICTING", TINY.name)
    file = tmp_path / "results.json"
    result = run(
        *["--library", "chainrule", "--library", "numpy", "--threads", "1", "--rounds", "2"],
        *["--seconds", "0.001", "--no-digits", "--json", str(file)],
    )
    assert result.exit_code == 0, result.output
    assert "NOT COMPARABLE" not in result.output
    found = json.loads(file.read_text())
    assert found["machine"]["threads"] == 1
    training = {record["library"]: record for record in found["training"]}
    assert set(training) == {"chainrule", "chainrule-step", "numpy"}
    for record in training.values():
        assert len(record["seconds"]) == 2
        assert 0 < record["least"] <= record["median"]
        assert 0 < record["share_of_peak"] < 1
        assert record["loss"] < record["first_loss"]
    assert training["chainrule"]["chainrule_ratio"] == 1
    for title in ("chainrule, own loop", "NumPy by hand", "the best of each peer"):
        assert title in result.output
    assert {(r["library"], r["rows"]) for r in found["prediction"]} == {
        (library, rows) for library in ("chainrule", "numpy") for rows in (1, 10_000)
    }


def test_missing_peers_are_left_out_with_a_line(monkeypatch):
    missing = [
        dataclasses.replace(library, module="no_such_module")
        for library in libraries.find_libraries(["jax"])
    ]
    monkeypatch.setattr(
        command, "find_libraries", lambda names: [*missing, *libraries.find_libraries(["numpy"])]
    )
    monkeypatch.setattr(command, "find_networks", lambda names, mnist: [TINY])
    monkeypatch.setattr(command, "limit_cpus", lambda threads: None)
    result = run("--rounds", "1", "--seconds", "0.001", "--no-digits")
    assert result.exit_code == 0, result.output
    line = "JAX is not installed and is left out: pip install '.[bench]'"
    assert result.output.count(line) == 1
    assert "NumPy by hand" in result.output


def test_each_family_says_how_it_is_installed():
    extra = re.search("^bench = (.*)", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert libraries.REMEDIES.keys() == libraries.FAMILIES.keys()
    for library in libraries.LIBRARIES:
        package = {"sklearn": "scikit-learn"}.get(library.module, library.module)
        assert ("[bench]" in libraries.REMEDIES[library.family]) == (f'"{package}"' in extra)


def test_a_hidden_layer_may_be_as_wide_as_the_output(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    network = Network((4, 3, 5, 3), 32, rows=320)
    x, y = networks.make_data(network)
    parameters = networks.first_parameters(network)
    for library in libraries.LIBRARIES:
        if library.predicts and library.installed:
            training = library.load()(network, x, y, parameters)
            shapes = [weight.shape for weight, _ in training.parameters()]
            assert shapes == [(3, 4), (5, 3), (3, 5)], library.name


def test_a_worker_that_ends_in_a_turn_is_left_out(monkeypatch):
    def call(worker, method, **arguments):
        if worker.library.name == "sklearn" and method == ending[0]:
            raise runner.WorkerError("out of memory")
        return {"loss": 0.5, "first_loss": 1.0} if method == "warm_up" else 1.0

    monkeypatch.setattr(runner.WorkerProcess, "call", call)
    chosen = libraries.find_libraries(["sklearn", "numpy"])
    options = {"threads": 1, "rounds": 2, "seconds": 0.001, "predict_rows": (1, 10)}
    for ending in (("train", ["numpy"]), ("predict", ["sklearn", "numpy"])):
        found = runner.measure(TINY, chosen, **options)
        assert found.failed == {"sklearn": "out of memory"}
        assert [each.library.name for each in found.training] == ending[1]
        for each in found.training + found.prediction[1] + found.prediction[10]:
            assert each.seconds == [1.0, 1.0]
        assert [len(found.prediction[rows]) for rows in (1, 10)] == [1, 1]


def test_figures_are_written_though_the_digits_fail(monkeypatch, tmp_path):
    def measure_digits(**options):
        raise RuntimeError("it made no good model")

    monkeypatch.setattr(command, "find_networks", lambda names, mnist: [TINY])
    monkeypatch.setattr(command, "limit_cpus", lambda threads: None)
    monkeypatch.setattr(command, "measure_digits", measure_digits)
    options = ["--library", "chainrule-step", "--library", "numpy", "--digits"]
    file = tmp_path / "results.json"
    result = run(*options, "--rounds", "1", "--seconds", "0.001", "--json", str(file))
    assert result.exit_code == 1 and "Error: it made no good model" in result.output
    assert len(json.loads(file.read_text())["training"]) == 2


def test_a_worker_that_fails_is_left_out_with_its_reason():
    broken = libraries.Library("broken", "Broken", "numpy", "with_numpy.NoSuchClass")
    found = runner.measure(TINY, [broken], threads=1, rounds=1, seconds=0.001)
    assert found.training == []
    assert "ValueError" in found.failed["broken"]  # the worker does not know this library


def measured(name, seconds, loss=0.5):
    (library,) = libraries.find_libraries([name])
    return runner.Measured(library, seconds, {"first_loss": 1.0, "loss": loss})


def test_a_library_that_trains_less_is_marked():
    idle = measured("numpy", [1.0], loss=1.0)
    hasty = measured("sklearn", [1.0], loss=0.53)
    others = [measured(name, [1.0], loss=0.51) for name in ("jax-jit", "jax-scan")]
    runner.mark_faults([idle, hasty, *others])
    assert idle.fault == "loss 1.0000 where the median of all is 0.5200"
    assert [each.fault for each in (hasty, *others)] == [None, None, None]
    assert list(report.best_of_families([idle, hasty, *others])) == ["sklearn", "jax"]


def test_ratios_are_taken_round_by_round():
    ours, theirs = measured("numpy", [1.0, 10.0, 3.0]), measured("sklearn", [2.0, 20.0, 3.0])
    assert ours.ratio(theirs) == 0.5
    assert (ours.median, ours.least) == (3.0, 1.0)


def test_numpy_by_hand_has_the_right_gradients():
    from benchmarks.with_numpy import ByHand

    x, y = networks.make_data(TINY)
    parameters = [(w.astype(np.float64), b.astype(np.float64)) for w, b in
                  networks.first_parameters(TINY)]  # fmt: skip
    x = x.astype(np.float64)
    by_hand = ByHand(TINY, x, y, parameters)
    gradients = by_hand.gradients(x, y)
    for index, array in enumerate(by_hand.weights + by_hand.biases):
        place = np.unravel_index(array.size // 2, array.shape)
        losses = []
        for step in (1e-6, -2e-6):
            array[place] += step
            losses.append(networks.mean_loss(by_hand.parameters(), x, y))
        assert gradients[index][place] == pytest.approx((losses[0] - losses[1]) / 2e-6, abs=1e-7)


def test_bench_command_names_its_options():
    result = CliRunner().invoke(bench.bench, ["--rounds", "0"])
    assert result.exit_code == click.UsageError.exit_code


def test_bench_measures_chainrule():
    times = bench.measure(["chainrule"], (4, 16, 16, 3), 32, rounds=2, threads=1)
    assert len(times["chainrule"]) == 2
    assert min(times["chainrule"]) > 0


def test_estimators_are_measured_beside_their_peers():
    estimators = importlib.import_module("benchmarks.estimators")
    arguments = ["--rows", "100", "--rounds", "1", "--epochs", "3", "--no-folds"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimators, "PAUSE", 0.0)
        result = CliRunner().invoke(estimators.main, arguments, catch_exceptions=False)
    lines = result.output.splitlines()[1:]
    assert len(lines) == 10
    for line in lines:
        assert float(line.split()[-1]) < (1e-9 if "float64" in line else 1e-3)


def test_ensembles_are_measured_beside_one_product():
    ensembles = importlib.import_module("benchmarks.ensembles")
    adam = Network(TINY.sizes, TINY.batch, "adam", TINY.rows)
    arguments = ["--members", "2", "--epochs", "1", "--rounds", "1", "--threads", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensembles, "NETWORKS", (TINY, adam))
        patch.setattr(ensembles, "SIZE", 8)
        patch.setattr(ensembles, "PAUSE", 0.0)
        result = CliRunner().invoke(ensembles.main, arguments, catch_exceptions=False)
    lines = result.output.splitlines()
    assert [line.split()[0] for line in lines] == [TINY.name, f"{TINY.name}:adam"]
    assert all(float(line.split()[-1]) > 0 for line in lines)
