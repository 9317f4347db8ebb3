"""Names of PyTorch, NumPy and others that are not ours: the error says what is written here."""

import copy
import inspect
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule.graph.names import OTHERS, ForeignName
from chainrule.graph.names_of_functions import OURS

X = cr.tensor([[1.0, 2.0], [3.0, 4.0]])


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_foreign_name_names_ours(name):
    assert not (hasattr(X, name) and hasattr(cr, name)), "the row is of no use"
    for owner in (X, cr.Parameter(np.ones(2)), cr):
        if not hasattr(owner, name):
            with pytest.raises(AttributeError, match=f"has no attribute '{name}'; here it is") as e:
                getattr(owner, name)
            assert OURS[name] in str(e.value)


@pytest.mark.parametrize("name", sorted(OURS))
def test_what_is_named_exists(name):
    for found in re.findall(r"\bcr((?:\.\w+)+)", OURS[name]):
        value = cr
        for part in found[1:].split("."):
            value = getattr(value, part)
    for found in re.findall(r"\bx\.(\w+)", OURS[name]):
        assert hasattr(X, found)


# What is typed most, in the words of PyTorch's tutorials.
TYPED = {
    "x.view(-1, 2)": "x.reshape",
    "x.unsqueeze(0)": "cr.expand_dims",
    "x.permute(1, 0)": "x.transpose",
    "x.size()": "x.shape",
    "x.size(0)": "x.shape[axis]",
    "x.clamp(min=0)": "cr.clip",
    "x.t()": "x.T",
    "x.dim()": "x.ndim",
    "x.numel()": "x.size",
    "x.float()": "x.astype('float32')",
    "x.double()": "x.astype('float64')",
    "x.long()": "x.astype('int64')",
    "x.type(1)": "x.astype",
    "x.cuda()": "the CPU",
    "cr.cpu(x)": "x.cpu()",
    "cr.to(x, 'cpu')": "x.to(dtype)",
    "x.mm(x)": "x @ y",
    "x.masked_fill(x > 1, 0)": "cr.where",
    "x.where(x > 1, x)": "cr.where(condition, x, y)",
    "x.contiguous()": "x itself",
    "x.addmm(x, x)": "x + a @ b",
    "x.gather(1, x)": "cr.take_along_axis",
    "x.scatter_(1, x, x)": "x = cr.put_along_axis(x, indices, values, axis)",
    "x.masked_fill_(x > 1, 0)": "x = cr.where(mask, value, x)",
    "x.transpose_(0, 1)": "x = x.swapaxes(axis1, axis2)",
    "x.exponential_()": "x = -cr.log1p(-cr.rand_like(x)) / rate",
    "x.erfinv_()": "x = cr.custom_operation",
    "cr.bool": "as a dtype cr.bool_",
    "cr.spmm(x, x)": "x @ y",
    "cr.view_as_complex(x)": "no complex numbers",
    "cr.range(0, 5)": "cr.arange(start, end + step, step)",
    "x.new(3)": "cr.zeros(shape, x.dtype)",
    "cr.linalg.lstsq(x, x)": "with one cr.linalg.pinv(x) @ b",
    "cr.autograd.grad(x, x)[0]": "without [0]",
    "x.index_select(0, x)": "x.take",
    "x.sort()": "cr.sort(x, axis)",
    "x.split(1)": "where a number is that of the parts",
    "x.norm()": "cr.linalg.vector_norm(x, ord, axis)",
    "x.clone()": "x.detach()",
    "x.expand(-1, 2)": "in place of -1",
    "x.max(1).values": "the result itself",
    "x.max(1).indices": "x.argmax(axis)",
    "x.sqrt_()": "x = x.sqrt(...); a Parameter takes its new value by parameter.assign(value)",
    "x.mul(2)": "x * y",
    "x.vstack()": "cr.vstack(x, ...)",
    "cr.cat([x, x])": "cr.concatenate",
    "cr.from_numpy(x)": "cr.tensor(array)",
    "cr.onnx.export(x)": "the same model in PyTorch, and export that",
    "cr.set_grad_enabled(False)": "cr.no_grad()",
    "cr.inference_mode()": "cr.no_grad()",
    "cr.clamp(x, 0)": "cr.clip",
    "cr.mm(x, x)": "x @ y",
    "cr.Size([2])": "tuple",
    "cr.channels_last": "memory is in order",
    "cr.use_deterministic_algorithms(True)": "the same bits",
    "cr.set_float32_matmul_precision('high')": "as it is",
    "cr.distributed.init_process_group()": "one process trains",
    "cr.randint_like(x, 9)": "cr.randint(low, high, x.shape)",
    "cr.FloatTensor([1])": "cr.tensor(data, 'float32')",
    "cr.reduce_sum(x)": "x.sum(axis)",
    "cr.GradientTape()": "cr.grad",
    "cr.Linear(2, 2)": "it is cr.nn.Linear",
    "cr.Adam": "it is cr.optim.Adam",
    "cr.leaky_relu": "it is cr.nn.functional.leaky_relu",
    "cr.solve": "it is cr.linalg.solve",
    "cr.numpy(x)": "of a Tensor x it is x.numpy",
    "cr.unique_counts(x)": "cr.unique(x, return_counts=True)",
    "cr.cumulative_sum(x)": "cr.cumsum(x, axis)",
    "cr.can_cast(x, 'int8')": "np.can_cast(x.dtype, dtype)",
    "cr.histogram(x)": "np.histogram of x.numpy() gives its value, without a gradient",
    "cr.gcd(x, x)": "np.gcd of x.numpy() gives its value, without a gradient",
    "cr.hanning(3)": "it is np.hanning",
    "cr.set_printoptions(precision=2)": "np.set_printoptions",
    "cr.tril_indices(3, 3)": "np.tril_indices(rows, offset, columns), a pair of arrays",
    "cr.cuda.is_available()": "write device = 'cpu'",
    "cr.device('cpu')": "write device = 'cpu'",
    "cr.accelerator.is_available()": "write device = 'cpu'",
    "cr.IntTensor([1])": "cr.tensor(data, 'int32')",
    "cr.get_rng_state()": "cr.default_generator.state",
    "cr.nn.functional.upsample(x, 2)": "nn.functional.interpolate",
    "cr.nn.functional.pdist(x)": "cr.linalg.vector_norm",
    "cr.nn.utils.checkpoint": "the call itself",
    "cr.seterr()": "it is np.seterr",
    "cr.linalg.LinAlgError": "it is np.linalg.LinAlgError",
    "cr.linalg.svd(x)": "np.linalg.svd(x.numpy()), without a gradient",
    "cr.fill_diagonal(x, 0.0)": "which returns a new Tensor",
    "x.half()": "x.astype('float16')",
    "cr.Dense(10)": "nn.Linear(in_features, out_features)",
    "cr.nn.Dense(10)": "nn.Linear(in_features, out_features)",
    "cr.nn.Conv2D(8, 3)": "nn.Conv2d(in_channels, out_channels, kernel_size)",
    "cr.nn.BatchNormalization()": "momentum=0.01",
    "cr.ModelCheckpoint('best')": "checkpoint=path",
    "cr.optim.ExponentialDecay(0.1, 100, 0.9)": "optim.ExponentialLR",
    "cr.nn.init.GlorotUniform()": "nn.init.xavier_uniform_",
    "cr.metrics.AUC()": "metrics=['auc']",
    "cr.concatenat([x])": "did you mean 'concatenate'?",
    "cr.sofmax(x)": "did you mean 'softmax'?",
}


@pytest.mark.parametrize("code", TYPED)
def test_what_is_typed_is_answered(code):
    with pytest.raises(AttributeError) as error:
        eval(code, {"x": X, "cr": cr})
    assert TYPED[code] in str(error.value)


def test_a_foreign_attribute_can_not_be_written():
    weight = cr.Parameter(np.ones(2))
    with pytest.raises(AttributeError, match="one device, the CPU"):
        weight.is_cuda = False
    with pytest.raises(AttributeError):
        X.anything = 1


def test_python_suggests_the_nearest_of_our_names():
    code = "import chainrule as cr; cr.tensor(1.0).reshap"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert "Did you mean: 'reshape'?" in found.stderr


def test_a_name_that_nobody_has_is_only_refused():
    with pytest.raises(AttributeError, match=r"has no attribute 'frobnicate'$"):
        cr.frobnicate  # noqa: B018
    with pytest.raises(AttributeError, match=r"has no attribute '_private'$"):
        cr._private  # noqa: B018
    with pytest.raises(AttributeError, match=r"has no attribute 'frobnicate'$"):
        X.frobnicate  # noqa: B018


def test_what_asks_for_attributes_still_works():
    for tensor in (X, cr.Parameter(np.ones(2), name="w")):
        assert not hasattr(tensor, "view")
        assert getattr(tensor, "unsqueeze", None) is None
        assert not hasattr(cr.Tensor, "view")
        assert "view" not in dir(tensor) and "reshape" in dir(tensor)
        assert "view" not in dict(inspect.getmembers(tensor))
        for copied in (
            copy.copy(tensor),
            copy.deepcopy(tensor),
            pickle.loads(pickle.dumps(tensor)),
        ):
            np.testing.assert_array_equal(copied.numpy(), tensor.numpy())
            assert type(copied) is type(tensor)
    assert not hasattr(cr, "view") and not hasattr(cr, "__wrapped__")


def test_no_method_is_hidden():
    """A foreign name never stands before a method or attribute of a Tensor."""
    for name in dir(X):
        if not name.startswith("__"):
            assert not isinstance(inspect.getattr_static(X, name), ForeignName)


def test_size_is_a_number():
    assert X.size == 4 and isinstance(X.size, int)
    assert repr(X.size) == "4" and f"{X.size:d}" == "4"
    assert type(X.size + 1) is int
    assert np.zeros(X.size).shape == (4,)
    assert pickle.loads(pickle.dumps(X.size)) == 4
    assert X.reshape(X.size).shape == (4,)


def test_constants_and_dtypes_are_numpys():
    assert (cr.pi, cr.e, cr.inf, cr.newaxis) == (np.pi, np.e, np.inf, None)
    assert X[:, cr.newaxis].shape == (2, 1, 2)
    for name in ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool_"):
        assert cr.tensor([1, 0], dtype=getattr(cr, name)).dtype == np.dtype(getattr(np, name))


def test_to_and_cpu_do_what_they_can():
    """A script moves its batches to a device that it chose."""
    weight = cr.Parameter(np.ones(2, "f"))
    for same in (X.to("cpu"), X.to(device="cpu", non_blocking=True), X.cpu(), X.to("cpu", None)):
        assert same is X
    assert weight.to("cpu") is weight
    for wide in (X.to("float64"), X.to("cpu", np.float64), X.to(dtype=cr.float64)):
        assert wide.dtype == np.float64
        np.testing.assert_array_equal(wide.numpy(), X.numpy())
    (weight.to("float64").sum() * 3).backward()
    assert weight.grad.tolist() == [3.0, 3.0]
    for tensor in (X, weight, weight.data, cr.placeholder((2,))):
        assert tensor.device == "cpu" and tensor.to(tensor.device) is tensor
    for other in ("cuda", "cuda:0", "mps"):
        with pytest.raises(TypeError, match="no device"):
            X.to(other)
    with pytest.raises(TypeError, match="'cpu' or a dtype"):
        X.to("elsewhere")


def test_what_pytorch_does_in_place_is_answered():
    torch = pytest.importorskip("torch")
    names = [name for name in dir(torch.Tensor) if re.fullmatch(r"[a-z]\w*_", name)]
    ours = [name for name in names if hasattr(cr, name[:-1]) and name not in dir(X)]
    assert len(ours) > 80
    for name in ours:
        with pytest.raises(AttributeError, match=rf"has no attribute '{name}'; here it is \w"):
            getattr(X, name)


@pytest.mark.parametrize(
    "name", ["median", "quantile", "cov", "svd", "cummax", "bincount", "values"]
)
def test_what_has_no_gradient_here_says_how_to_have_its_value(name):
    with pytest.raises(AttributeError, match=r"here it is .*x\.numpy\(\)"):
        getattr(X, name)


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_a_name_of_other_layers_names_ours(name):
    for home in (cr.nn, cr.nn.functional, cr.nn.utils, cr.optim, cr.optim.lr_scheduler):
        with pytest.raises(AttributeError, match=f"'{name}'; here it is") as error:
            getattr(home, name)
        assert OTHERS[name] in str(error.value)
    for found in re.findall(r"\b((?:cr|nn|optim|text)(?:\.\w+)+)", OTHERS[name]):
        value = cr
        for part in found.removeprefix("cr.").split("."):
            value = getattr(value, part)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("from chainrule.nn import CTCLoss", "here it is nothing"),
        ("from chainrule.nn import Liner", r"did you mean nn\.Linear\?"),
        ("from chainrule.nn.utils import parametrize", r"nn\.utils\.weight_norm"),
        ("from chainrule.nn.utils.parametrizations import orthogonal", r"nn\.init\.orthogonal_"),
        ("from chainrule.nn.init import xavier_normal", r"did you mean nn\.init\.xavier_normal_\?"),
        ("from chainrule.optim.lr_scheduler import LRScheduler", "Schedule"),
        ("from chainrule.optim import swa_utils", r"optim\.EMA"),
        ("from chainrule import autograd", r"cr\.grad"),
        ("from chainrule import cat, zeros", r"cr\.concatenate"),
        ("from chainrule import Linear", r"it is cr\.nn\.Linear"),
        ("from chainrule import numpy", r"of a Tensor x it is x\.numpy"),
        ("from chainrule import histogram", r"np\.histogram of x\.numpy"),
        ("from chainrule import sofmax", "did you mean 'softmax'"),
        ("from chainrule import frobnicate", "has no attribute 'frobnicate'$"),
        ("from chainrule.utils.data import DataLoader", r"cr\.nn\.utils and cr\.data"),
        ("import chainrule.utils.tensorboard", r"cr\.nn\.utils and cr\.data"),
        ("from chainrule.autograd import Variable", r"cr\.grad"),
        ("from chainrule.distributions import Normal", r"cr\.randn"),
        ("from chainrule.cuda.amp import autocast", "one device, the CPU"),
    ],
)
def test_an_import_says_so_too(line, said):
    with pytest.raises(ImportError, match=said):
        exec(line)


@pytest.mark.parametrize("order", [1, 2, 3, np.inf])
def test_the_norms_that_are_named_have_pytorchs_values(order):
    torch = pytest.importorskip("torch")
    x, y = np.random.default_rng(0).normal(size=(2, 4, 3))
    a, b = torch.tensor(x), torch.tensor(y)
    i, j = np.triu_indices(len(x), 1)
    names = {"cr": cr, "x": cr.tensor(x), "y": cr.tensor(y), "i": i, "j": j}
    names |= {"ord": order, "axis": None}
    for name, expected in [
        ("norm", torch.norm(a, order)),
        ("dist", torch.dist(a, b, order)),
        ("cdist", torch.cdist(a, b, order)),
        ("pdist", torch.nn.functional.pdist(a, order)),
    ]:
        formula = re.match(r"cr\.\S+\(.*?\)(?=$|,| with)", OURS[name]).group()
        np.testing.assert_allclose(eval(formula, names).numpy(), expected)


def test_the_value_of_a_parameter_outlives_an_update():
    weight = cr.Parameter([1.0, 2.0])
    before, itself = eval("x.detach()", {"x": weight}), weight
    weight.assign([5.0, 6.0])
    assert before.tolist() == [1.0, 2.0] and itself.tolist() == [5.0, 6.0]


def test_what_is_named_for_multinomial_draws_one_of_each_row():
    cr.manual_seed(0)
    rows = np.array([[1.0, 0.0, 3.0], [2.0, 2.0, 4.0]])
    x = cr.tensor(np.repeat(rows, 4000, axis=0))
    formula = OURS["multinomial"].partition(", one of each row")[0]
    drawn = eval(formula, {"cr": cr, "x": x})
    pairs = eval(
        formula.replace("argmax(-1, keepdims=True)", "topk(2).indices"), {"cr": cr, "x": x}
    )
    assert drawn.shape == (8000, 1)
    for row, of_row in zip(rows, drawn.numpy().reshape(2, 4000), strict=True):
        shares = np.bincount(of_row, minlength=3) / 4000
        np.testing.assert_allclose(shares, row / row.sum(), atol=0.03)
    assert (np.sort(pairs.numpy()[:4000]) == [0, 2]).all()  # of chance 0 is none


def test_what_is_named_for_least_squares_gives_them():
    a, b = np.random.default_rng(0).normal(size=(2, 3, 5, 2))
    names = {"cr": cr, "x": cr.tensor(a, requires_grad=True), "b": cr.tensor(b)}
    found = eval(OURS["lstsq"].partition("with one ")[2], names)
    expected = [np.linalg.lstsq(*pair, rcond=None)[0] for pair in zip(a, b, strict=True)]
    np.testing.assert_allclose(found.numpy(), expected)
    assert cr.grad(found.sum(), names["x"]).shape == a.shape


def test_modules_are_imported_by_the_names_by_which_they_are_called():
    import chainrule.linalg
    import chainrule.metrics
    from chainrule.linalg import inv
    from chainrule.nn.parameter import Buffer, Parameter

    assert cr.linalg is chainrule.linalg and inv is cr.linalg.inv
    assert cr.metrics is chainrule.metrics
    for module in (cr.linalg, cr.metrics):
        assert all(hasattr(module, name) for name in module.__all__)
    assert (Buffer, Parameter) == (cr.Buffer, cr.Parameter)
    assert not hasattr(cr, "utils") and not hasattr(cr, "cuda")


def test_gumbel_softmax_is_one_line():
    logits, tau = cr.tensor([[1.0, 2.0, 0.5]] * 4000), 1.0
    names = {"nn": cr.nn, "cr": cr, "logits": logits, "tau": tau}
    soft, hard = OTHERS["gumbel_softmax"].split(", called y; with hard=True ")
    names["y"] = eval(soft, names)
    drawn = names["y"].argmax(axis=1)
    np.testing.assert_array_equal(eval(hard, names), cr.one_hot(drawn, 3))
    shares = np.bincount(drawn.numpy(), minlength=3) / 4000
    np.testing.assert_allclose(shares, cr.softmax(logits[0]).numpy(), atol=0.03)


@pytest.mark.parametrize("draw", [cr.rand, cr.randn, cr.permutation, cr.bernoulli])
def test_a_generator_is_used_by_a_block(draw):
    with pytest.raises(TypeError, match=r"no argument 'generator': .*use_generator\(generator\)"):
        draw(1, generator=cr.Generator(0))


def test_formulas_for_names_of_other_libraries_give_their_numbers():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x = cr.tensor(rng.normal(size=(3, 6)) * 60)
    t = torch.tensor(x.numpy(force=True))
    square = np.array([[2.0, 0.0], [1.0, 3.0]])
    v, y = np.array([-1.0, 0.0, 2.0]), np.array([2.0, 0.0, 3.0])
    mask, ones = np.array([False, True, True]), np.array([[1.0], [2.0]])
    placed = v.copy()
    np.place(placed, mask, [7.0, 8.0, 9.0])
    names = {"np": np, "cr": cr, "x": x, "n": 6}
    among = {"x": cr.tensor(v), "mask": cr.tensor(mask), "count": 2}
    among["values"] = cr.tensor([7.0, 8.0, 9.0])
    index = cr.tensor([1, 0, 1])
    choices = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    for name, given, theirs in [
        ("logcumsumexp", {}, torch.logcumsumexp(t, -1)),
        ("unfold", {"axis": 1, "size": 3, "step": 2}, t.unfold(1, 3, 2)),
        ("unfold", {"axis": 0, "size": 2, "step": 1, "n": 3}, t.unfold(0, 2, 1)),
        ("renorm", {"p": 2, "axes": 1, "maxnorm": 5.0}, torch.renorm(t, 2, 0, 5.0)),
        ("digitize", {"bins": np.sort(v), "x": v}, np.digitize(v, np.sort(v))),
        ("bucketize", {"boundaries": v, "x": v}, torch.bucketize(torch.tensor(v), torch.tensor(v))),
        ("masked_scatter", among, placed),
        ("place", among, placed),
        ("select", {"axis": 1, "index": 2}, t.select(1, 2)),
        ("var_mean", {"axis": 1}, torch.stack(torch.var_mean(t, 1))),
        ("std_mean", {"axis": 1}, torch.stack(torch.std_mean(t, 1))),
        ("xlogy", {"x": cr.tensor(v), "y": y}, torch.xlogy(torch.tensor(v), torch.tensor(y))),
        ("diag_embed", {}, torch.diag_embed(t)),
        ("logdet", {"x": cr.tensor(square)}, np.log(6.0)),
        ("choose", {"x": index, "choices": choices}, np.choose(index.numpy(), choices)),
        ("cholesky_inverse", {"x": cr.tensor(square)}, np.linalg.inv(square @ square.T)),
        ("unfold", {"axis": 1, "size": 2, "step": 3}, t.unfold(-1, 2, 3)),
        (
            "cholesky_solve",
            {"L": cr.tensor(square), "b": ones},
            torch.cholesky_solve(torch.tensor(ones), torch.tensor(square)),
        ),
    ]:
        formula = re.split(r", for |, or |; ", OURS[name])[0]
        found = eval(formula, names | given)
        found = np.stack([f.numpy() for f in found]) if isinstance(found, tuple) else found
        np.testing.assert_allclose(found, theirs, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize(("length", "chunks"), [(7, 3), (6, 4), (5, 2), (3, 3), (4, 1)])
def test_the_formula_for_chunks_makes_pytorchs(length, chunks):
    torch = pytest.importorskip("torch")
    formula = OURS["chunk"].split(", for n")[0]
    given = {"n": length, "size": -(-length // chunks), "axis": 0, "x": cr.arange(length)}
    found = [part.tolist() for part in eval(formula, {"cr": cr} | given)]
    assert found == [part.tolist() for part in torch.arange(length).chunk(chunks)]


@pytest.mark.parametrize("name", ["lgamma", "digamma", "erfinv", "custom_vjp", "autograd"])
def test_functions_that_are_not_here_can_be_made(name):
    assert "cr.custom_operation" in OURS[name]


def test_rows_are_named_by_indices_of_one_column():
    rows, indices = cr.ones((3, 2)), cr.tensor([1, 0, 1])
    given = {"cr": cr, "x": X, "indices": indices, "rows": rows, "value": 7.0}
    found = {n: eval(OURS[n].split(", which")[0], given) for n in ("index_add", "index_fill")}
    assert found["index_add"].tolist() == [[2.0, 3.0], [5.0, 6.0]]
    assert found["index_fill"].tolist() == [[7.0, 7.0], [7.0, 7.0]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ExponentialDecay", lambda t: 0.5 * 0.3 ** (t / 10)),
        ("PolynomialDecay", lambda t: 0.5 * (1 - min(t, 10) / 10) ** 2),
        ("InverseTimeDecay", lambda t: 0.5 / (1 + 0.3 * t / 10)),
        ("CosineDecay", lambda t: 0.1 + 0.4 * (1 + np.cos(np.pi * min(t, 10) / 10)) / 2),
        ("CosineDecayRestarts", lambda t: 0.25 * (1 + np.cos(np.pi * (t % 7) / 7))),
    ],
)
def test_the_schedules_that_are_named_have_keras_values(name, value):
    optim = cr.optim
    numbers = {"decay_steps": 10, "rate": 0.3, "power": 2, "eta_min": 0.1, "T_0": 7, "T_mult": 1}
    optimizer = optim.SGD([cr.Parameter([1.0])], lr=0.5)
    formula = OTHERS[name].partition(";")[0]
    schedule = eval(formula, {"optim": optim, "optimizer": optimizer, **numbers})
    rates = [schedule.lrs(t)[0] for t in range(20)]
    np.testing.assert_allclose(rates, [value(t) for t in range(20)], atol=1e-12)


def test_the_formulas_that_are_named_have_keras_values():
    x = np.random.default_rng(0).normal(size=(50, 6))
    labels = np.random.default_rng(1).integers(0, 6, 50)
    names = {"cr": cr, "outputs": cr.tensor(x), "targets": cr.tensor(labels), "k": 3}
    names |= {"e": cr.tensor(x), "x": cr.tensor(x[:, 0]), "boundaries": cr.tensor([-1.0, 0.0, 1.0])}
    log_cosh = OTHERS["LogCosh"].partition(", with e")[0]
    np.testing.assert_allclose(eval(log_cosh, names).item(), np.log(np.cosh(x)).mean())
    best = np.argsort(-x, axis=1)[:, :3]
    top_k = OTHERS["TopKCategoricalAccuracy"].removeprefix("a function: ")
    hits = np.mean([label in row for label, row in zip(labels, best, strict=True)])
    np.testing.assert_allclose(eval(top_k, names).item(), hits, rtol=1e-6)
    bins = eval(OTHERS["Discretization"], names).numpy()
    np.testing.assert_array_equal(bins, np.digitize(x[:, 0], [-1, 0, 1]))
