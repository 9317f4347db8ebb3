"""Layers fitted to data: beside scikit-learn and NumPy, through files, graphs and native plans."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.nn.layers import column_statistics

SCALERS = [nn.Center, nn.Standardize, nn.Unstandardize, nn.MinMaxScale, nn.RobustScale]
FITTED = {
    **{kind.__name__: lambda d, dtype, kind=kind: kind(d, dtype) for kind in SCALERS},
    "PCA": lambda d, dtype: nn.PCA(d, dtype=dtype),
    "Whiten pca": lambda d, dtype: nn.Whiten(d, dtype=dtype),
    "Whiten zca": lambda d, dtype: nn.Whiten(d, "zca", dtype=dtype),
}


def table(rows=300, columns=4, seed=0):
    """Correlated columns of very different means and sizes."""
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal((rows, columns)) @ rng.standard_normal((columns, columns))
    return mixed * 10.0 ** np.arange(columns) + 3.0 * np.arange(columns) ** 3


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(column_statistics, "_BLOCK", 64)


# Beside others


@pytest.mark.parametrize(
    ("layer", "theirs", "arguments"),
    [
        (nn.Center, "StandardScaler", {"with_std": False}),
        (nn.Standardize, "StandardScaler", {}),
        (nn.MinMaxScale, "MinMaxScaler", {}),
        (nn.RobustScale, "RobustScaler", {}),
    ],
)
def test_scalers_are_scikit_learns(layer, theirs, arguments, small_blocks):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    x, new = table(), table(50, seed=1)
    wanted = getattr(preprocessing, theirs)(**arguments).fit(x).transform(new)
    if layer is nn.RobustScale:  # theirs does not clip
        wanted = wanted / np.sqrt(1 + (wanted / 3) ** 2)
    np.testing.assert_allclose(layer(4, "float64").fit(x)(new), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("components", [1, 3, 5])
def test_pca_is_scikit_learns(components, small_blocks):
    decomposition = pytest.importorskip("sklearn.decomposition")
    x, new = table(columns=5), table(50, columns=5, seed=1)
    theirs = decomposition.PCA(components, svd_solver="full").fit(x)
    layer = nn.PCA(5, components, "float64").fit(x)
    np.testing.assert_allclose(layer.mean, theirs.mean_, rtol=1e-12)
    # Scikit-learn divides by N - 1.
    np.testing.assert_allclose(
        layer.explained_variance, theirs.explained_variance_ * 299 / 300, rtol=1e-10
    )
    same = np.sign((layer.components.numpy() * theirs.components_).sum(axis=1))
    np.testing.assert_allclose(layer.components, same[:, None] * theirs.components_, atol=1e-10)
    np.testing.assert_allclose(layer(new), same * theirs.transform(new), rtol=1e-9, atol=1e-9)
    back = theirs.inverse_transform(theirs.transform(new))
    np.testing.assert_allclose(layer.inverse()(layer(new)), back, rtol=1e-9, atol=1e-9)

    theirs = decomposition.PCA(components, whiten=True, svd_solver="full").fit(x)
    white = nn.Whiten(5, num_components=components, dtype="float64").fit(x)
    wanted = same * theirs.transform(new) * np.sqrt(300 / 299)
    np.testing.assert_allclose(white(new), wanted, rtol=1e-8, atol=1e-9)


def test_the_axes_are_numpys_and_their_signs_are_fixed(small_blocks):
    x = table(columns=6)
    layer = nn.PCA(6, dtype="float64").fit(x)
    _, singular, axes = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(layer.explained_variance, singular**2 / 300, rtol=1e-9)
    np.testing.assert_allclose(np.abs((layer.components.numpy() * axes).sum(1)), 1, rtol=1e-10)
    for axis in layer.components.numpy():
        assert axis[np.abs(axis).argmax()] > 0
    again = nn.PCA(6, dtype="float64").fit(x[::-1])
    np.testing.assert_allclose(again.components, layer.components, atol=1e-10)


def test_weak_axes_keep_their_digits():
    rng = np.random.default_rng(0)
    x = np.linalg.qr(rng.standard_normal((200, 4)) - 0.1)[0]
    x -= x.mean(axis=0)
    singular = np.array([1e6, 1.0, 1e-3, 1e-6])
    turn = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    x = np.linalg.svd(x, full_matrices=False)[0] * singular @ turn.T
    wanted = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    found = np.sqrt(nn.PCA(4, dtype="float64").fit(x).explained_variance.numpy() * 200)
    # As exact as a decomposition of the data: to rounding of the largest.
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-15 * 1e6 * 4)
    assert found[2] == pytest.approx(1e-3, rel=1e-4)


# Properties


@pytest.mark.parametrize("method", ["pca", "zca"])
def test_whitened_data_have_the_covariance_1(method, small_blocks):
    x = table()
    y = nn.Whiten(4, method, dtype="float64").fit(x)(x).numpy()
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-11)
    np.testing.assert_allclose(y.T @ y / len(y), np.eye(4), atol=1e-10)


def test_zca_is_the_symmetric_whitening():
    x = table(columns=3)
    centred = x - x.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(x))
    wanted = centred @ (vectors / np.sqrt(values)) @ vectors.T
    np.testing.assert_allclose(nn.Whiten(3, "zca", dtype="float64").fit(x)(x), wanted, atol=1e-8)


def test_pca_removes_correlation_and_orders_by_variance():
    x = table()
    y = nn.PCA(4, dtype="float64").fit(x)(x).numpy()
    covariance = y.T @ y / len(y)
    assert np.all(np.diff(np.diag(covariance)) < 0)
    off = covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    np.testing.assert_allclose(off, np.eye(4), atol=1e-10)


def test_fewer_components_give_the_least_squares_reconstruction():
    x = table()
    layer = nn.PCA(4, 2, "float64").fit(x)
    back = layer.inverse()(layer(x)).numpy()
    lost = np.sort(np.linalg.eigvalsh(np.cov(x.T, bias=True)))[:2].sum()
    assert np.square(back - x).sum() / len(x) == pytest.approx(lost, rel=1e-6)
    white = nn.Whiten(4, num_components=2, dtype="float64").fit(x)
    np.testing.assert_allclose(white.inverse()(white(x)), back, rtol=1e-9, atol=1e-9)


def test_eps_is_added_to_the_variance():
    x = np.stack([np.tile([1.0, -1.0], 8), np.zeros(16)], axis=1)
    y = nn.Whiten(2, eps=3.0, dtype="float64").fit(x)(x).numpy()
    np.testing.assert_allclose(np.abs(y), [[0.5, 0.0]] * 16, atol=1e-12)


def test_minmax_gives_0_to_1_and_0_for_a_constant_column():
    x = np.stack([table()[:, 0], np.full(300, 7.0)], axis=1)
    y = nn.MinMaxScale(2, "float64").fit(x)(x).numpy()
    assert y[:, 0].min() == 0 and y[:, 0].max() == 1 and not y[:, 1].any()


def test_robust_scale_takes_the_range_where_quartiles_are_equal_and_0_for_a_constant():
    x = np.zeros((10, 3))
    x[0, 0], x[:, 1] = 8.0, 5.0
    x[:, 2] = np.arange(10)
    layer = nn.RobustScale(3, "float64").fit(x)
    assert layer.median.tolist() == [0, 5, 4.5]
    assert layer.scale.tolist() == [2 / 8, 0, 1 / 4.5]
    y = layer(np.array([[8.0, 77.0, 9.0]])).tolist()[0]
    assert y == pytest.approx([2 / np.sqrt(1 + 4 / 9), 0, 1 / np.sqrt(1 + 1 / 9)])
    assert layer.inverse()(np.array([y])).tolist()[0] == pytest.approx([8, 5, 9])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_outlier_is_clipped_however_far_it_lies(dtype):
    layer = nn.RobustScale(1, dtype).fit([[0.0], [1.0], [2.0]])
    far = np.array([[1e6], [1e30], [-1e30], [np.inf]], dtype)
    np.testing.assert_allclose(layer(far), [[3], [3], [-3], [3]], rtol=1e-10)


# All of them


@pytest.mark.parametrize("name", FITTED)
def test_the_inverse_maps_back(name):
    layer = FITTED[name](4, "float64").fit(table())
    back = layer.inverse()
    x = table(20, seed=2).reshape(4, 5, 4)
    np.testing.assert_allclose(back(layer(x)), x, rtol=1e-8, atol=1e-8)
    before = back(layer(x)).numpy()
    wanted = layer(x).numpy()
    layer.fit(table(seed=5))  # the inverse keeps its numbers
    assert np.array_equal(back(wanted), before)


@pytest.mark.parametrize("kind", [nn.Standardize, nn.Unstandardize, nn.RobustScale])
def test_the_inverse_of_the_inverse_is_the_layer(kind):
    layer = kind(3).fit(table(columns=3))
    again = layer.inverse().inverse()
    assert type(again) is kind
    x = table(columns=3, seed=3).astype("f")
    np.testing.assert_allclose(again(x), layer(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", FITTED)
def test_blocks_do_not_matter_and_a_memory_mapped_array_is_read_so(name, tmp_path, monkeypatch):
    x = table(197).astype(np.float32)  # the last block has one row
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    whole = FITTED[name](4, "float64").fit(x)
    monkeypatch.setattr(column_statistics, "_BLOCK", 28)
    sizes = []
    blocks = column_statistics.blocks

    def watched(table):
        assert np.shares_memory(table, mapped)  # it was not read as a whole
        for block in blocks(table):
            sizes.append(len(block))
            yield block

    monkeypatch.setattr(column_statistics, "blocks", watched)
    by_blocks = FITTED[name](4, "float64").fit(mapped)
    assert max(sizes) == 7
    for key, value in whole.state_dict().items():
        np.testing.assert_allclose(by_blocks.state_dict()[key], value, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", FITTED)
def test_a_model_takes_raw_columns_natively_and_from_a_file(name, tmp_path):
    x = table(64, columns=3).astype(np.float32)
    y = (x[:, :1] > 0).astype(np.float32)
    cr.manual_seed(0)
    model = nn.Sequential(FITTED[name](3, "float32").fit(x), nn.Linear(3, 1), nn.Sigmoid())
    start = model.state_dict()
    losses = {}
    for backend in ("native", "reference"):
        model.load_state_dict(start)
        optimizer = optim.SGD(model.parameters(), lr=1e-4)
        trainer = cr.Trainer(model, nn.MSELoss(), optimizer, backend=backend, seed=0)
        losses[backend] = trainer.fit(x, y, epochs=2, batch_size=20, progress=False)["loss"]
        predicted = trainer.predict(x)
        np.testing.assert_allclose(predicted, model(x), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(losses["native"], losses["reference"], rtol=1e-4)
    fitted = {key: value for key, value in start.items() if key.startswith("0.")}
    assert fitted and all(np.array_equal(model.state_dict()[k], v) for k, v in fitted.items())

    trainer.save(tmp_path / "model.safetensors")
    again = nn.from_description(nn.to_description(model))
    loaded = cr.Trainer(again, nn.MSELoss(), optim.SGD(again.parameters(), lr=1e-4))
    loaded.load(tmp_path / "model.safetensors")
    assert np.array_equal(again(x), model(x))


def test_inverses_run_natively():
    y = table(32, columns=2).astype(np.float32)
    for layer in (nn.RobustScale(2).fit(y), nn.PCA(2).fit(y), nn.Whiten(2, "zca").fit(y)):
        back = layer.inverse()
        model = nn.Sequential(nn.Linear(2, 2), back)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        inside = np.random.default_rng(0).uniform(-1, 1, (9, 2)).astype(np.float32)
        predicted = cr.Trainer(model, nn.MSELoss(), optimizer).predict(inside)
        np.testing.assert_allclose(predicted, model(inside), rtol=1e-3)


@pytest.mark.parametrize("kind", [nn.Center, nn.MinMaxScale, nn.Standardize, nn.Unstandardize])
def test_a_scaler_changes_nothing_before_fit(kind):
    x = table().astype("f")
    assert np.array_equal(kind(4)(x), x)


@pytest.mark.parametrize("kind", [nn.PCA, nn.Whiten])
def test_axes_that_were_never_fitted_are_refused(kind):
    layer = kind(4)
    with pytest.raises(RuntimeError, match=rf"{kind.__name__} is not fitted.*fit\(x\)"):
        layer(np.zeros((2, 4), "f"))
    with pytest.raises(RuntimeError, match="not fitted"):
        layer.inverse()
    with pytest.raises(RuntimeError, match="not fitted"):
        cr.capture(layer, cr.placeholder((2, 4)))
    layer.load_state_dict(kind(4).fit(table()).state_dict())
    assert np.isfinite(layer(table().astype("f")).numpy()).all()


# Refused


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize("fault", [np.nan, np.inf, -np.inf])
def test_a_faulty_column_is_named_and_the_state_kept(name, fault):
    layer = FITTED[name](4, "float32").fit(table())
    before = layer.state_dict()
    x = table()
    x[17, 2] = fault
    with pytest.raises(ValueError, match=r"column 2 .*drop or fill"):
        layer.fit(x)
    for wrong in (x[:, :3], x[:0], x[0]):
        with pytest.raises(cr.ShapeError, match=r"\(rows, 4\)"):
            layer.fit(wrong)
    with pytest.raises(TypeError, match="numbers"):
        layer.fit(np.full((5, 4), "a"))
    with pytest.raises(cr.ShapeError, match="length 4"):
        layer(np.zeros((3, 3), "f"))
    assert all(np.array_equal(before[key], value) for key, value in layer.state_dict().items())


@pytest.mark.parametrize("kind", [nn.Standardize, nn.MinMaxScale, nn.RobustScale, nn.PCA])
def test_numbers_too_large_for_the_dtype_are_refused(kind):
    with pytest.raises(ValueError, match=r"column 0.*too large"):
        kind(1).fit([[1e200], [3e200]])
    with pytest.raises(ValueError, match="too large"):
        kind(1, dtype="float64").fit([[-1e308], [1e308], [1e308]])


def test_a_variance_that_the_dtype_does_not_hold_is_refused():
    with pytest.raises(ValueError, match="variance is too large for float32"):
        nn.PCA(1).fit([[-1e30], [1e30]])
    with pytest.raises(ValueError, match="variance is too large for float64"):
        nn.PCA(1, dtype="float64").fit([[-1e200], [1e200]])
    with pytest.raises(ValueError, match="vary along 0 axes"):
        nn.Whiten(1).fit([[-1e-30], [1e-30]])


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="at most num_features, 3; got 4"):
        nn.PCA(3, 4)
    with pytest.raises(ValueError, match="num_components is at least 1"):
        nn.Whiten(3, num_components=0)
    with pytest.raises(ValueError, match="'pca' or 'zca'"):
        nn.Whiten(3, "cholesky")
    with pytest.raises(ValueError, match="use 'pca' for fewer"):
        nn.Whiten(3, "zca", num_components=2)
    with pytest.raises(ValueError, match="not negative"):
        nn.Whiten(3, eps=-1.0)
    with pytest.raises(cr.ShapeError, match="3 rows have no 4 principal axes"):
        nn.PCA(4).fit(table(3))


def test_whitening_what_does_not_vary_is_refused():
    x = table()
    x[:, 3] = x[:, 0] + x[:, 1]
    with pytest.raises(ValueError, match=r"vary along 3 axes only.*eps > 0"):
        nn.Whiten(4).fit(x)
    nn.Whiten(4, num_components=3).fit(x)
    nn.Whiten(4, eps=1e-3).fit(x)
    with pytest.raises(ValueError, match="vary along 0 axes"):
        nn.Whiten(2).fit(np.ones((5, 2)))


@pytest.mark.parametrize("value", [0.1, 0.3, 1 / 3, 7.7, 1234.567, 1e5 + 0.1, -1e9 + 0.3])
@pytest.mark.parametrize("rows", [5, 200, 5000])
def test_whitening_what_varies_by_rounding_alone_is_refused(rows, value):
    a, b = np.random.default_rng(rows).normal(size=(2, rows))
    constant = np.full(rows, value)
    for columns in ([constant], [a, constant], [a, a + value], [a, b, a + b + value]):
        for method in ("pca", "zca"):
            with pytest.raises(ValueError, match=rf"vary along {len(columns) - 1} axes only"):
                nn.Whiten(len(columns), method).fit(np.stack(columns, axis=1))
    few = np.stack([1e-9 * abs(value) * a + value, b], axis=1)  # it does vary
    np.testing.assert_allclose(np.cov(nn.Whiten(2, dtype="float64").fit(few)(few).numpy().T,
                                      bias=True), np.eye(2), atol=1e-4)  # fmt: skip
