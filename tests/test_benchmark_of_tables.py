"""benchmarks/tabular.py: its splits, its models and its ratios."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn.neural_network")
pytest.importorskip("pandas")
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import tables, tabular
from benchmarks.tabular import REFERENCE, Measured


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 2))
    pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "quality": x[:, 0] + 5}).to_csv(
        tmp_path / "wine.csv", index=False
    )
    frame = pd.DataFrame({"a": x[:, 0], "b": random.choice(["u", "?"], 60)})
    frame.assign(**{"class": np.where(x[:, 0] > 0, "p", "q")}).to_csv(
        tmp_path / "adult.csv", index=False
    )
    return tmp_path


@pytest.mark.parametrize("model", ["chainrule fast", "HistGradientBoosting"])
@pytest.mark.parametrize("name", ["wine", "adult"])
def test_models_train_on_a_split(folder, model, name):
    found = tabular.fit(model, folder, name, 0, 0)
    assert 0 <= found.error < 1
    assert found.seconds > 0


def test_the_seed_is_apart_from_the_split(folder):
    errors = [tabular.fit("chainrule fast", folder, "wine", 0, seed).error for seed in (0, 1, 1)]
    assert errors[0] != errors[1] == errors[2]


def test_a_split_is_four_fifths_and_errors_are_of_its_kind(folder):
    data = tables.split(folder, "adult", 1)
    assert (len(data.x), len(data.x_test), data.is_classification) == (48, 12, True)
    assert data.x["b"].isna().any()
    assert data.error(data.y_test) == 0
    numbers = tables.split(folder, "wine", 1)
    assert numbers.error(numbers.y_test + 2) == pytest.approx(2)


def test_ratios_are_geometric_means_to_the_reference():
    results = {
        "wine": {"a": [Measured(2, 1), Measured(4, 1)], REFERENCE: [Measured(6, 1)]},
        "letter": {"a": [Measured(0.036, 1)], REFERENCE: []},
    }
    assert tabular.relative(results, "a") == 0.5  # of wine alone
    results["letter"][REFERENCE] = [Measured(0.018, 1)]
    assert tabular.relative(results, "a") == pytest.approx((0.5 * 2) ** 0.5)
    assert tabular.relative({"wine": {"a": [Measured(2, 1)]}}, "a") is None
