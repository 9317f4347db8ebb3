"""Splits: disjoint, complete, deterministic, stratified."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.data import ChainDataset, ConcatDataset, random_split, split


@given(rows=st.integers(2, 300), fraction=st.floats(0.01, 0.99), seed=st.integers(0, 99))
def test_parts_are_disjoint_and_complete(rows, fraction, seed):
    x, y = np.arange(rows) * 2, np.arange(rows)
    (x_train, y_train), (x_held, y_held) = split(x, y, fraction, seed=seed)
    assert len(y_held) == min(max(1, round(fraction * rows)), rows - 1)
    assert sorted([*y_train, *y_held]) == list(range(rows))
    np.testing.assert_array_equal(x_train, y_train * 2)
    np.testing.assert_array_equal(x_held, y_held * 2)
    assert (np.diff(y_train) > 0).all()


@given(
    counts=st.lists(st.integers(2, 40), min_size=1, max_size=6),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 99),
)
def test_stratified_shares(counts, fraction, seed):
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    x = np.arange(len(y))
    (x_train, y_train), (x_held, y_held) = split(x, y, fraction, seed=seed, stratify=True)
    assert sorted([*x_train, *x_held]) == x.tolist()
    np.testing.assert_array_equal(y[x_held], y_held)
    for label, count in enumerate(counts):
        held = int((y_held == label).sum())
        assert held == min(max(1, round(fraction * count)), count - 1)
        assert (y_train == label).sum() == count - held


@pytest.mark.parametrize("stratify", [False, True])
def test_the_seed_decides(stratify):
    x, y = np.arange(100), np.arange(100) % 3

    def held_out(seed):
        return split(x, y, 0.3, seed=seed, stratify=stratify)[1][0].tolist()

    assert held_out(0) == held_out(0) != held_out(1)


def test_structures():
    x = {"a": np.arange(10), "b": np.arange(10) * 2}
    (x_train, _), (x_held, _) = split(x, np.arange(10), 0.2)
    np.testing.assert_array_equal(x_train["a"] * 2, x_train["b"])
    assert len(x_held["b"]) == 2


@pytest.mark.parametrize(
    ("y", "arguments", "words"),
    [
        (np.arange(4), {"fraction": 0}, "between 0 and 1"),
        (np.arange(4), {"fraction": 1.0}, "between 0 and 1"),
        (np.arange(4), {"fraction": float("nan")}, "between 0 and 1"),
        (np.array([0, 0, 0, 7]), {"stratify": True}, r"class 7 has 1 row \(row 3\)"),
        (np.zeros(4), {"stratify": True}, "integer class labels.*float64"),
        (np.zeros((4, 2), int), {"stratify": True}, r"shape \(4, 2\)"),
        ((np.zeros(4), np.zeros(4)), {"stratify": True}, "but y is tuple"),
        (np.arange(5), {}, r"x \(4,\), y \(5,\)"),
    ],
)
def test_refused(y, arguments, words):
    with pytest.raises(ValueError, match=words):
        split(np.arange(4), y, **{"fraction": 0.5, **arguments})


def test_one_row_is_refused():
    with pytest.raises(ValueError, match="1 row, which cannot be split"):
        split(np.zeros((1, 2)), np.zeros(1))


@pytest.mark.parametrize("stratify", [False, True])
def test_weights_go_where_their_rows_go(stratify):
    x, y = np.arange(20), np.array([0, 1] * 10)
    train, held_out = split(x, y, 0.3, seed=4, stratify=stratify, sample_weight=x / 2)
    plain = split(x, y, 0.3, seed=4, stratify=stratify)
    for part, wanted in zip((train, held_out), plain, strict=True):
        assert len(part) == 3 and len(wanted) == 2
        np.testing.assert_array_equal(part[0], wanted[0])
        np.testing.assert_array_equal(part[1], wanted[1])
        np.testing.assert_array_equal(part[2], part[0] / 2)
    with pytest.raises(ValueError, match=r"rows.*sample_weight \(19,\)"):
        split(x, y, 0.3, sample_weight=np.ones(19))


@pytest.mark.parametrize("unfit", [None, 3, "ab"])
def test_what_is_no_list_of_parts_is_refused(unfit):
    for joined in (ConcatDataset, ChainDataset):
        with pytest.raises(TypeError, match=f"^datasets is a list of .*, got {unfit!r}"):
            joined(unfit)
    with pytest.raises(TypeError, match=f"^lengths is a list of .*, got {unfit!r}"):
        random_split(range(3), unfit)
