"""cr.compile against the eager loop: one function, called as it is and compiled."""

import copy
import pickle
import threading
from collections import Counter, OrderedDict, defaultdict
from typing import NamedTuple

import numpy as np
import pytest
from compile_loops import LOOPS, X, network, numbers

import chainrule as cr
from chainrule import nn, optim

pytestmark = pytest.mark.usefixtures("backend")


def assert_equal(found, wanted, backend):
    """The same bits by the reference, else to 1e-12."""
    if isinstance(wanted, dict):
        assert list(found) == list(wanted)
        found, wanted = list(found.values()), list(wanted.values())
    if isinstance(wanted, list):
        assert len(found) == len(wanted)
        for f, w in zip(found, wanted, strict=True):
            assert_equal(f, w, backend)
    elif isinstance(wanted, np.ndarray):
        assert found.dtype == wanted.dtype and found.shape == wanted.shape
        if backend == "reference":
            np.testing.assert_array_equal(found, wanted)
        else:
            np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-13)
    else:
        assert found == wanted


@pytest.mark.parametrize("name", LOOPS)
def test_a_compiled_function_is_the_function(name, backend):
    function, run = LOOPS[name]()
    wanted = run(function)
    function, run = LOOPS[name]()
    compiled = cr.compile(function)
    assert_equal(numbers(run(compiled)), numbers(wanted), backend)


# Between calls


def test_second_calls_capture_nothing(backend, monkeypatch):
    captured = []
    record = cr.train.compile.__globals__["record"]
    monkeypatch.setitem(
        cr.train.compile.__globals__, "record", lambda *a: captured.append(1) or record(*a)
    )
    function, run = LOOPS["modes"]()
    compiled = cr.compile(function)
    run(compiled)
    first = len(captured)
    assert first == 4  # in both modes, each entered from both
    run(compiled)
    assert len(captured) == first


def test_many_captures_are_reported():
    double = cr.compile(lambda x, n: x * n)
    with pytest.warns(RuntimeWarning, match=r"captured 64 times.*np\.float32\(number\)"):
        for n in range(70):
            assert double(np.ones(2), n).tolist() == [n, n]


def test_one_function_compiles_as_decorator_method_and_part_of_another(backend):
    class Model:
        def __init__(self, scale):
            self.scale = scale

        @cr.compile(backend=backend)
        def run(self, x):
            """Doc."""
            return x * self.scale

    two, three = Model(2.0), Model(3.0)
    assert two.run(np.ones(1)).item() == 2 and three.run(np.ones(1)).item() == 3
    two.scale = 5.0
    assert two.run(np.ones(1)).item() == 5 and three.run(np.ones(1)).item() == 3
    assert Model.run.__name__ == "run" and Model.run.__doc__ == "Doc."
    outer = cr.compile(lambda x: two.run(x) + 1.0)
    assert outer(np.ones(1)).item() == 6
    assert cr.compile(network())(X).shape == (24, 3)


class Rows(list):
    pass


class Sides(tuple):
    __slots__ = ()


class Pair(NamedTuple):
    left: object
    right: object


@pytest.mark.parametrize("kind", [list, tuple, Rows, Sides, lambda pair: Pair(*pair)])
def test_an_argument_is_a_sequence_of_any_type(kind, backend):
    @cr.compile(backend=backend)
    def product(pair):
        assert type(pair) is type(first)
        return pair[0] * pair[1]

    first = kind([np.array([2.0, 3.0]), np.array([5.0, 7.0])])
    assert product(first).tolist() == [10, 21]
    assert product(kind([np.array([4.0, 1.0]), np.ones(2)])).tolist() == [4, 1]


@pytest.mark.parametrize(
    "kind", [dict, OrderedDict, Counter, lambda given: defaultdict(float, given)]
)
def test_an_argument_and_a_result_is_a_dict_of_any_type(kind, backend):
    @cr.compile(backend=backend)
    def product(given):
        assert type(given) is type(first)
        product = given.pop("rows") * given["factor"]
        return kind({"product": product, "shape": np.shape(product)})

    first = kind({"rows": np.array([2.0, 3.0]), "factor": 2.0})
    for _ in range(2):
        found = product(first)
        assert type(found) is type(first) and found["shape"] == (2,)
        assert found["product"].tolist() == [4, 6]
    assert list(first) == ["rows", "factor"]


class Doubled(list):
    """Gives other values than it holds."""

    def __init__(self, first, second):
        super().__init__([first, second])

    def __iter__(self):
        return (value * 2.0 for value in super().__iter__())


def test_a_list_of_a_users_class_holds_what_it_holds(backend):
    total = cr.compile(lambda given: sum(given) * 1.0, backend=backend)
    assert total(Doubled(np.ones(1), np.zeros(1))).tolist() == [2]
    assert total(Doubled(np.ones(1), np.ones(1))).tolist() == [4]


class Batch(dict):
    __slots__ = ()
    scale = 2.0
    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__

    def scaled(self):
        return self.x * self.scale


class Raised(OrderedDict):
    """Gives and takes other values than it holds."""

    def __init__(self, **given):
        super().__init__(given)

    def __getitem__(self, name):
        return super().__getitem__(name) + 1.0

    def __setitem__(self, name, value):
        super().__setitem__(name, value * 10.0)

    __copy__ = None


def test_an_argument_and_a_result_is_a_dict_of_a_users_class(backend, monkeypatch):
    scaled = cr.compile(lambda batch: Batch(y=batch.scaled()), backend=backend)
    assert scaled(Batch(x=np.array([1.0]))).y.tolist() == [2]
    assert scaled(Batch(x=np.array([5.0]))).y.tolist() == [10]
    monkeypatch.setattr(Batch, "scale", 3.0)
    assert scaled(Batch(x=np.array([5.0]))).y.tolist() == [15]

    def raised(batch):
        batch.move_to_end("a")
        return Raised(**{name: batch[name] for name in batch}), batch

    first, second = cr.compile(raised, backend=backend)(Raised(a=np.ones(1), b=np.zeros(1)))
    assert [(name, first[name].tolist()) for name in first] == [("b", [11]), ("a", [111])]
    assert type(second) is Raised and list(second) == ["b", "a"]


def test_the_factory_of_a_defaultdict_is_part_of_the_signature(backend):
    get = cr.compile(lambda given, x: x * given.copy()["missing"], backend=backend)
    one, two = (lambda: 1.0), (lambda: 2.0)
    for factory, wanted in ((one, 1), (two, 2), (one, 1)):
        assert get(defaultdict(factory), np.ones(1)).tolist() == [wanted]


def test_equal_keys_of_other_types_and_signs_are_other_signatures(backend):
    def shifted(given, x):
        (key,) = given
        return x + float(np.copysign(3.0, key)) + 5.0 * (type(key) is bool)

    compiled, x = cr.compile(shifted, backend=backend), np.ones(2)
    for key in (1, True, 1, 0.0, -0.0, 0.0):
        np.testing.assert_array_equal(compiled({key: x}, x).numpy(), shifted({key: x}, x))


PLAIN = {
    "slice": (lambda x, part: x[part], [slice(0, 2), slice(1, None), slice(0, 2)]),
    "zeros": (lambda x, number: x / number, [0.0, -0.0, 0, False]),
    "texts": (lambda x, text: x * (len(text) + 1.0), ["", "''", b"", "b''"]),
    "NaN": (lambda x, number: x * number, [float("nan"), float("nan"), 2.0]),
    "types": (lambda x, kind: x.astype(kind), [np.float32, np.int16, np.float32, float]),
    "kinds": (lambda x, number: x * number, [1, 1.0, True, 2]),
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_arguments_are_told_apart(name, backend, monkeypatch):
    function, values = PLAIN[name]
    compiled, x = cr.compile(function, backend=backend), np.array([1.0, 2.0, 3.0])
    with np.errstate(divide="ignore"):
        for value in values:
            expected = function(cr.tensor(x), value)
            assert_equal(compiled(x, value).numpy(), expected.numpy(), backend)
    monkeypatch.setattr(type(compiled), "_captured", None)
    for value in values:
        compiled(x, value)


def test_several_threads_share_a_compiled_function():
    model = network()
    predict = cr.compile(model)
    inputs = [X[: 1 + i % 3] * (i + 1.0) for i in range(32)]
    wanted = [model(cr.tensor(x)).numpy() for x in inputs]
    found = [None] * 32

    def work(first):
        for _ in range(20):
            for i in range(first, 32, 4):
                found[i] = predict(inputs[i]).numpy()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for f, w in zip(found, wanted, strict=True):
        np.testing.assert_allclose(f, w, rtol=1e-12)


def test_a_loss_that_is_not_finite_is_returned_as_in_the_loop():
    model = nn.Linear(2, 1, dtype="float64")
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    @cr.compile
    def step(x):
        optimizer.zero_grad()
        loss = cr.log(model(x).sum() * 0.0)
        loss.backward()
        optimizer.step()
        return loss

    assert step(np.ones((3, 2))).item() == -np.inf
    assert np.isnan(model.weight.numpy()).all()


def test_arrays_of_foreign_byte_order_and_layout():
    double = cr.compile(lambda x: x * 2.0)
    wanted = X * 2
    for given in (X.astype(">f8"), np.asfortranarray(X), X[::-1][::-1], X.view(np.memmap)):
        np.testing.assert_array_equal(double(given).numpy(), wanted)
    x = X.copy()
    result = double(x)
    x[:] = 0
    np.testing.assert_array_equal(result.numpy(), wanted)


@cr.compile
def doubled(x):
    return x * 2.0


def test_copies_and_pickles():
    model = network()
    for function in (doubled, cr.compile(model)):
        wanted = function(X).numpy()
        for made in (copy.deepcopy(function), pickle.loads(pickle.dumps(function))):
            np.testing.assert_array_equal(made(X).numpy(), wanted)


def test_what_has_no_native_kernel_is_refused_with_the_remedy():
    x = np.float32([3, 1, 2])
    with pytest.raises(NotImplementedError, match="backend='reference'"):
        cr.compile(cr.sort, backend="native")(x)
    assert cr.compile(cr.sort, backend="reference")(x).tolist() == [1, 2, 3]


def by_grad(x):
    x.requires_grad = True
    return cr.grad((x**3).sum(), x)


def by_backward(x):
    x.requires_grad_()
    (x**3).sum().backward()
    return x.grad * 1


@pytest.mark.parametrize("function", [by_grad, by_backward])
def test_an_argument_that_is_made_to_require_a_gradient(function, backend):
    compiled = cr.compile(function)
    array = np.float64([1.0, 2.0])
    assert compiled(array).tolist() == [3.0, 12.0]
    x, y = cr.tensor(array), cr.tensor(array)
    for _ in range(3):
        assert compiled(x).tolist() == function(y).tolist()
        assert x.requires_grad and (x.grad is None) == (y.grad is None)
        assert x.grad is None or x.grad.tolist() == y.grad.tolist()
    assert compiled(array).tolist() == compiled(cr.tensor(array)).tolist() == [3.0, 12.0]


def test_the_gradient_of_an_argument_that_does_not_matter_is_zeros(backend):
    """As the second derivative of whatever is piecewise linear."""

    def second(x):
        return cr.grad((cr.grad((x * 2.0).sum(), [x])[0] * 3.0).sum(), [x])[0]

    assert cr.compile(second)(np.ones(2)).tolist() == [0.0, 0.0]
    assert second(cr.tensor([1.0, 1.0], requires_grad=True)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_a_tensor_passed_twice_is_one_leaf(backend):
    """As in the eager loop, its gradient is the sum over both places."""
    fill = cr.compile(lambda a, b: (a * b["x"]).sum().backward(), backend=backend)
    ask = cr.compile(lambda a, b: cr.grad((a * b).sum(), a), backend=backend)
    for _ in range(2):
        x, y = (cr.tensor(v, requires_grad=True) for v in ([1.0, 2.0], [3.0, 4.0]))
        fill(x, {"x": x})
        assert x.grad.tolist() == [2, 4]
        fill(y, {"x": cr.tensor([5.0, 6.0])})
        assert y.grad.tolist() == [5, 6]
        z = cr.tensor([1.0, 2.0])
        assert ask(z, z).tolist() == [2, 4] and ask(z, cr.tensor([1.0, 2.0])).tolist() == [1, 2]


def test_a_gradient_is_kept_where_a_call_makes_none():
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    x.requires_grad_(False)
    cr.compile(lambda x: x.requires_grad_().sum())(x)
    assert x.grad.tolist() == [2, 4]


def test_no_gradient_goes_through_what_is_made_a_leaf():
    def gradient(x):
        h = x * 2.0
        h.requires_grad_()
        return cr.grad((h * 3.0).sum() + x.sum(), x)

    assert cr.compile(gradient)(cr.tensor([1.0, 2.0])).tolist() == [1.0, 1.0]
