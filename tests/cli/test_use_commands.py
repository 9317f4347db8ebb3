"""`chainrule predict`, `evaluate` and `info`: what a saved model is good for."""

import csv
import io
import re

import numpy as np
import pytest
from quick_training import QUICK

import chainrule as cr
from chainrule import nn, optim


def rows_of(text):
    return list(csv.reader(io.StringIO(text)))


def columns_of(path):
    header, *rows = rows_of(path.read_text())
    return {name: [row[i] for row in rows] for i, name in enumerate(header)}


def write(path, columns):
    lines = [",".join(columns), *(",".join(row) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")


def test_predictions_have_the_labels_of_the_training_data(run, flowers):
    run("train", flowers, "--model", "mlp", "--out", "model")
    header, *rows = rows_of(run("predict", "model", flowers).stdout)
    assert header == ["prediction"]
    assert [row[0] for row in rows] == columns_of(flowers)["kind"]


def test_columns_are_found_by_name_and_the_target_need_not_be_there(run, flowers, tmp_path):
    run("train", flowers, "--model", "mlp", "--out", "model")
    expected = run("predict", "model", flowers).stdout
    columns = columns_of(flowers)
    other = tmp_path / "other.csv"
    write(other, {"length": columns["length"], "id": columns["kind"], "width": columns["width"]})
    assert run("predict", "model", other).stdout == expected


def test_probabilities(run, flowers):
    run("train", flowers, *QUICK, "--out", "model")
    header, *rows = rows_of(run("predict", "model", flowers, "--proba").stdout)
    assert header == ["prediction", "probability_-5", "probability_10", "probability_20"]
    for label, *numbers in rows:
        probabilities = [float(number) for number in numbers]
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
        assert header[1 + int(np.argmax(probabilities))] == f"probability_{label}"


def test_numbers_are_predicted_in_the_units_of_the_target(run, houses, tmp_path):
    run("train", houses, "--model", "mlp", "--target", "price", "--out", "model")
    result = run("predict", "model", houses, "--out", "prices.csv")
    assert "200 predictions: prices.csv" in result.stdout
    header, *rows = rows_of((tmp_path / "prices.csv").read_text())
    assert header == ["price"]
    prices = np.array(columns_of(houses)["price"], float)
    assert np.abs(np.array(rows, float)[:, 0] - prices).max() < 1000


@pytest.mark.parametrize("name", ["p.parquet", "p.csv.gz", "p.XLSX"])
def test_predictions_are_written_as_csv_alone(run, fails, houses, tmp_path, name):
    run("train", houses, "--model", "mlp", "--target", "price", "--out", "model")
    assert "written as CSV. Name a .csv file" in fails("predict", "model", houses, "-o", name)
    assert not (tmp_path / name).exists()


def test_a_regression_starts_from_the_mean_of_the_target(run, houses):
    options = ["--model", "mlp", "--epochs", 1, "--lr", 1e-9, "--out", "model"]
    run("train", houses, "--target", "price", *options)
    rows = rows_of(run("predict", "model", houses).stdout)[1:]
    prices = np.array(columns_of(houses)["price"], float)
    assert np.abs(np.array(rows, float) - prices.mean()).max() < 2 * prices.std()


@pytest.mark.parametrize("target", [0, 1, 2])
def test_tables_without_header_go_by_place(run, houses, tmp_path, target):
    rows = rows_of(houses.read_text())[1:]
    bare, inputs = tmp_path / "bare.csv", tmp_path / "inputs.csv"
    bare.write_text("\n".join(",".join(row) for row in rows))
    inputs.write_text("\n".join(",".join(row[:target] + row[target + 1 :]) for row in rows))
    run("train", bare, "--target", target, *QUICK, "--out", "model")
    assert run("predict", "model", bare).stdout == run("predict", "model", inputs).stdout
    assert "rmse" in run("evaluate", "model", bare).stdout


def test_several_values_a_row(run):
    x = np.random.default_rng(0).normal(size=(300, 3))
    np.savez("data.npz", x=x, y=np.stack([100 * x[:, 0], x[:, 1] - 7], axis=1))
    np.savez("inputs.npz", x=x[:5])
    run("train", "data.npz", "--out", "model")
    header, *rows = rows_of(run("predict", "model", "inputs.npz").stdout)
    assert header == ["prediction_0", "prediction_1"]
    found = np.array(rows, float)
    assert np.allclose(found, np.stack([100 * x[:5, 0], x[:5, 1] - 7], axis=1), rtol=0.3, atol=9)


def test_rows_of_one_number(run):
    x = np.linspace(-1, 1, 60)
    np.savez("data.npz", x=x, y=3 * x + 1, x_test=x[:9], y_test=3 * x[:9] + 1)
    np.savez("inputs.npz", x=x)
    text = run("train", "data.npz", "--hidden", "none", "--epochs", 99, "--out", "model").stdout
    assert "rows of 1 number, 60 to train on, 9 to test on" in text
    found = np.array(run("predict", "model", "inputs.npz").stdout.split()[1:], float)
    assert np.allclose(found, 3 * x + 1, atol=0.01)
    assert "60 rows" in run("evaluate", "model", "data.npz", "--part", "train").stdout


def test_evaluate_agrees_with_predict(run):
    run("train", "digits", *QUICK, "--out", "model")
    predicted = [int(row[0]) for row in rows_of(run("predict", "model", "digits").stdout)[1:]]
    right = sum(p == y for p, y in zip(predicted, cr.data.datasets.digits().y_test, strict=True))
    result = run("evaluate", "model", "digits")
    assert f"({right} of 355)" in result.stdout
    assert "recall" in result.stdout
    assert "1,442 rows" in run("evaluate", "model", "digits", "--part", "train").stdout


def test_recall_and_precision(run, tmp_path, flowers):
    run("train", flowers, "--model", "mlp", "--out", "model")
    columns = columns_of(flowers)
    columns["kind"][:15] = ["20"] * 15  # half of the rows of 10 now bear another label
    wrong = tmp_path / "wrong.csv"
    write(wrong, columns)
    lines = run("evaluate", "model", wrong).stdout.splitlines()
    cells = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert cells["10"] == ["15", "100.0%", "50.0%"]
    assert cells["20"] == ["45", "66.7%", "100.0%"]


def test_info(run, flowers):
    run("train", flowers, *QUICK, "--out", "model")
    text = run("info", "model").stdout
    assert re.search(r"^file +model \(\d+\.\d\d kB\)$", text, re.MULTILINE)
    assert "classification, 3 classes: -5, 10, 20; target 'kind'" in text
    assert "width, length" in text
    assert "Standardize(num_features=2)" in text
    assert "51 parameters" in text
    assert "sgd, lr 0.1, momentum 0.9" in text
    assert "2 epochs, 6 steps" in text
    assert "validation accuracy" in text


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x):
        return self.layer(x)


def test_files_of_a_trainer_in_python(run, fails):
    for model, shown, refused in (
        (Own(), "layer.weight", "not a layer of this library"),
        (nn.Linear(2, 1), "Linear(in_features=2", "not saved by chainrule train"),
    ):
        trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.5))
        trainer.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=1, batch_size=4, progress=False)
        trainer.save("model")
        text = run("info", "model").stdout
        assert shown in text
        assert "SGD" in text
        assert "lr 0.5" in text
        assert refused in fails("predict", "model", "digits")


def test_doctor(run):
    text = run("doctor").stdout
    for label in ("Python", "NumPy", "BLAS", "CPU", "instruction sets", "usable CPUs", "GFLOP/s"):
        assert label in text
    assert ("Nothing here makes chainrule slow" in text) == ("Warning: " not in text)


def test_doctor_warns_with_a_remedy():
    from chainrule.cli.doctor import find_faults

    found = {
        "usable_cpus": 4,
        "allowed_cpus": 4,
        "threads": 4,
        "numpy_threads": 4,
        "thread_variables": {},
        "instruction_set": "avx2",
        "blas": "scipy-openblas32 0.3.30",
        "fma_peak_float32_1_thread": 100.0,
        "fma_peak_float32": 390.0,
    }
    assert find_faults(found, 4) == []
    (fault,) = find_faults(found, 16)
    assert "4 of 16 CPUs" in fault and "taskset" in fault
    (fault,) = find_faults({**found, "allowed_cpus": 16}, 16)
    assert "4 of 16 CPUs" in fault and "docker run --cpus" in fault
    (fault,) = find_faults({**found, "threads": 8, "numpy_threads": None}, 4)
    assert "8 threads share 4" in fault and "CHAINRULE_NUM_THREADS" in fault
    (fault,) = find_faults({**found, "threads": 2, "numpy_threads": 2}, 4)
    assert "2 of 4 usable CPUs" in fault
    limited = {**found, "numpy_threads": 1, "thread_variables": {"OMP_NUM_THREADS": "1"}}
    (fault,) = find_faults(limited, 4)
    assert "OMP_NUM_THREADS=1" in fault and "set_num_threads(4)" in fault
    (fault,) = find_faults({**found, "numpy_threads": 64}, 4)
    assert "64 threads on 4" in fault
    assert "AVX2" in find_faults({**found, "instruction_set": "sse2"}, 4)[0]
    assert "pip install" in find_faults({**found, "blas": None}, 4)[0]
    assert "busy" in find_faults({**found, "fma_peak_float32": 150.0}, 4)[0]
