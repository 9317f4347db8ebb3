"""Plans whose memory is easily got wrong: states, joined updates, constants, shapes."""

import numpy as np
import pytest
from plans import assert_same, run_both

import chainrule as cr
from chainrule import nn, optim
from chainrule.compiler.elementwise import UnsupportedError
from chainrule.execute.native import NativeStep
from chainrule.execute.state_block import StateBlock


def buffers(*names, size=32):
    random = np.random.default_rng(len(names))
    return [cr.Buffer(random.standard_normal(size), name=name) for name in names]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_updates_in_any_order(order):
    states = buffers("a", "b", "c", "s", "t", "u")

    def function():
        for i in order:
            states[i].assign(cr.tanh(states[i + 3]) * 2.0)

    assert_same(function, states)


def test_an_update_does_not_overtake_what_reads_the_old_value():
    a, b, c, d = states = buffers("a", "b", "c", "d", size=64)

    def function():
        first, w, second = a * 2.0 + c, cr.tanh(c), b * 2.0 + d
        a.assign(first)
        c.assign(w)
        b.assign(second)

    assert_same(function, states)


def test_a_shift_register():
    a, c, d = states = buffers("a", "c", "d")

    def function():
        last, first = c * 2.0, a * 2.0
        d.assign(last)
        c.assign(first)

    assert_same(function, states)


def test_two_states_change_places():
    a, b = states = buffers("a", "b")

    def function():
        x, y = a.node(), b.node()
        a.assign(y)
        b.assign(x)
        return x + y

    assert_same(function, states)


def test_outputs_that_are_constants_and_states():
    (a,) = states = buffers("a", size=4)
    constant = cr.tensor([1.0, 2.0, 3.0, 4.0], dtype="float64")

    def function():
        old = a.node()
        a.assign(old * 2.0)
        return old, constant, cr.tensor(np.float64(7)), a.node()

    assert_same(function, states)


def test_a_parameter_updated_in_a_products_epilogue():
    random = np.random.default_rng(0)
    w = cr.Buffer(random.standard_normal((40, 30)))
    x, g = (cr.Buffer(random.standard_normal(s)) for s in ((16, 40), (16, 30)))
    assert_same(lambda: w.assign(w - 0.1 * (x.T @ g)), [w, x, g])


def test_a_sum_of_very_many_terms():
    states = [cr.Buffer(np.full(8, float(i))) for i in range(300)]
    assert_same(lambda: cr.add_n(*[state.node() for state in states]), states)


def test_logsumexp_of_nothing():
    assert_same(lambda: cr.logsumexp(x, axis=1), [x := cr.Buffer(np.zeros((3, 0)))])


def test_large_whole_numbers_stay_exact():
    i = cr.Buffer(np.arange(3))
    reference, native = run_both(lambda: (i + (2**53 + 1), i + 2**53), [i])
    for expected, result in zip(reference, native, strict=True):
        for a, b in zip(result, expected, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32"])
def test_narrow_integers_wrap_around_at_every_operation(dtype):
    i = cr.Buffer(np.array([3, np.iinfo(dtype).max], dtype))
    states = [i]
    assert_same(lambda: [i + i, (i + i) > 5, cr.maximum(i * i, i), -(i + 1) - i, i**5], states)
    assert_same(lambda: i.assign(cr.abs(i + 1) + 2 * i), states)


def test_truth_values_add_up_to_a_truth_value():
    b = cr.Buffer(np.array([True, False]))
    assert_same(lambda: [(b + b) == b, cr.add_n(b, b, b) == b, b.max(), b.argmax()], [b])


def test_indices_and_labels_of_any_whole_dtype():
    x = cr.Buffer(np.arange(12.0).reshape(4, 3))
    for dtype in ("int8", "uint8", "int16", "uint16", "int32", "uint32"):
        i = cr.Buffer(np.array([2, 0, 1, 2], dtype))
        constant = np.array([1, 2], dtype)
        assert_same(
            lambda i=i, constant=constant: [
                x[i],
                x[i, i],
                x[constant][:, constant],
                cr.one_hot(i, 3),
                cr.softmax_cross_entropy(x, i),
                i.max(),
                i.min(),
                i.argmax(),
            ],
            [x, i],
        )


def test_what_the_core_lacks_is_refused_with_the_reason():
    u = cr.Buffer(np.array([2**63], np.uint64))
    half = cr.tensor(np.ones(1, "float16"))
    for function, words in (
        (lambda: u < u, "uint64.*cast to int64"),
        (lambda: u.max(), "uint64.*cast it"),
        (lambda: u.astype("float32") + half.astype("float32"), None),
        (lambda: cr.concatenate([half, u.astype("float16")]), "float32 and float64; cast it"),
    ):
        graph = cr.capture(function)
        if words is None:
            NativeStep(graph, StateBlock([u]))
            continue
        with pytest.raises(UnsupportedError, match=words):
            NativeStep(graph, StateBlock([u]))


@pytest.mark.parametrize("dtype", ["int8", "int64"])
def test_powers_of_integers_are_refused_with_what_helps(dtype):
    n = cr.Buffer(np.array([2, 3], dtype))
    with pytest.raises(UnsupportedError, match=f"power of {dtype}, {dtype}.*cast to floats"):
        NativeStep(cr.capture(lambda: n**n), StateBlock([n]))
    n = cr.Buffer(np.array([2.0, 3.0]))
    assert_same(lambda: n**n, [n])


def test_parts_without_elements_at_the_end_of_memory():
    x = cr.Buffer(np.zeros((3, 0)))
    y = cr.Buffer(np.ones((3, 4)))
    assert_same(lambda: [cr.stack([x, x], -1), y[2:, 4:], cr.concatenate([y, y[:, 4:]], 1)], [x, y])


def test_what_was_handed_out_stays_when_training_goes_on():
    x = np.random.default_rng(0).standard_normal((32, 3)).astype("float32")
    model = nn.Linear(3, 1)
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
    trainer.fit(x, x[:, :1], epochs=1, batch_size=8, progress=False)
    w, keep = model.weight, cr.Buffer(np.zeros((1, 3), "float32"))
    keep.assign(w)
    kept = [keep, w.detach(), w.T, w.reshape(3), w[:, 1:], w.numpy()]
    before = [np.array(k) for k in kept]
    trainer.fit(x, x[:, :1], epochs=1, batch_size=8, progress=False)
    assert not np.array_equal(before[0], w.numpy())
    for k, b in zip(kept, before, strict=True):
        np.testing.assert_array_equal(np.asarray(k), b)


def test_two_parameters_change_places_between_runs():
    x = np.ones((8, 2), "float32")
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.0))
    trainer.fit(x, x, epochs=1, batch_size=8, progress=False)
    p, q = model[0].weight, model[1].weight
    old_p, old_q = p.numpy(), q.numpy()
    q.assign(p)
    p.assign(old_q)
    trainer.fit(x, x, epochs=1, batch_size=8, progress=False)
    np.testing.assert_array_equal(p.numpy(), old_q)
    np.testing.assert_array_equal(q.numpy(), old_p)


def test_an_index_out_of_range_is_refused_when_predicting():
    class Lookup(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = cr.Parameter(np.zeros((5, 3), "float32"))

        def forward(self, i):
            return self.table[i]

    model = Lookup()
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
    assert trainer.predict(np.array([0, 4])).shape == (2, 3)
    with pytest.raises(IndexError, match="index 99 is out of bounds for axis 0 with size 5"):
        trainer.predict(np.array([0, 1, 99]))


def test_arrays_that_are_not_aligned():
    record = np.zeros(16, dtype=[("flag", "u1"), ("x", "f4", 3)])
    record["x"] = np.random.default_rng(0).standard_normal((16, 3))
    model = nn.Linear(3, 1)
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
    trainer.fit(record["x"], record["x"][:, :1], epochs=1, batch_size=4, progress=False)
    np.testing.assert_allclose(
        trainer.predict(record["x"]), trainer.predict(record["x"].copy()), rtol=1e-6
    )


def digits_trainer(**options):
    cr.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 256), nn.Tanh()]
    model = nn.Sequential(*layers, nn.Linear(256, 10))
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    return cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics=["accuracy"], **options)


def test_same_bits_for_any_number_of_threads():
    digits = cr.data.datasets.digits()
    found = []
    try:
        for threads in (1, 2, 3, 8):
            cr.set_num_threads(threads)
            trainer = digits_trainer()
            trainer.fit(digits.x_train, digits.y_train, epochs=2, progress=False)
            found.append(trainer.predict(digits.x_test))
    finally:
        cr.set_num_threads(None)
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


def test_a_plan_describes_itself():
    digits = cr.data.datasets.digits()
    trainer = digits_trainer()
    with pytest.raises(RuntimeError, match="after a fit"):
        trainer.describe_plan()
    trainer.fit(digits.x_train, digits.y_train, epochs=1, progress=False)
    plain = trainer.describe_plan()
    assert "gemm" in plain and "FLOPs" in plain and "arena" in plain and "GFLOP/s" not in plain
    # 2 B (3 sum(w) - w_1) of the products, and less than a tenth of that for all the rest
    weights = [64 * 512, 512 * 256, 256 * 10]
    products = 2 * 64 * (3 * sum(weights) - weights[0])
    total = int(plain.split("total")[1].split()[0].replace(",", ""))
    assert products < total < 1.1 * products
    trainer.fit(digits.x_train, digits.y_train, epochs=1, profile=True, progress=False)
    assert "GFLOP/s" in trainer.describe_plan()


def weighted(logits, labels, sample_weight):
    return (cr.softmax_cross_entropy(logits, labels) * sample_weight).mean()


def focal(logits, labels):
    losses = cr.softmax_cross_entropy(logits, labels)
    return ((1.0 - cr.exp(-losses)) * losses).mean()


@pytest.mark.parametrize(
    ("loss", "kinds"),
    [
        (lambda logits, labels: cr.softmax_cross_entropy(logits, labels).mean(), ["_and_grad"]),
        (lambda logits, labels: weighted(logits, labels, cr.exp(logits[:, 0])), ["_and_grad"]),
        (focal, ["", "_grad"]),  # the gradient needs the losses first
    ],
)
def test_losses_and_their_gradient_are_computed_in_one_pass_where_they_can_be(loss, kinds):
    random = np.random.default_rng(0)
    logits = cr.Parameter(random.standard_normal((9, 4)), name="logits")
    labels = cr.tensor(random.integers(0, 4, 9))

    def function():
        z = loss(logits, labels)
        (grad,) = cr.grad(z, [logits])
        logits.assign(logits - 0.5 * grad)
        return z

    assert_same(function, [logits])
    graph = cr.capture(function)
    plan = NativeStep(graph, StateBlock([logits])).plan
    found = [call.fields["kernel"] for call in plan.calls if call.kind == "rows"]
    assert found == [f"softmax_cross_entropy{kind}" for kind in kinds]


def test_like_updates_of_neighbours_are_one_program_where_others_lie_between():
    """The fourth state has a rule of its own: three before it and two behind it are joined."""
    states = buffers("a", "b", "c", "odd", "d", "e", size=40)

    def function():
        for state in states:
            state.assign(state * 0.5 if state.name == "odd" else state - 0.1 * cr.tanh(state))

    assert_same(function, states)
    plan = NativeStep(cr.capture(function), StateBlock(states)).plan
    columns = [call.fields["columns"] for call in plan.calls if call.kind == "program"]
    assert sorted(columns) == [40, 40 + 40, 40 + 2 * 40]


def test_the_reference_backend_has_no_plan():
    digits = cr.data.datasets.digits()
    trainer = digits_trainer(backend="reference")
    with pytest.raises(ValueError, match="profile"):
        trainer.fit(digits.x_train, digits.y_train, profile=True)
    with pytest.raises(ValueError, match="backend"):
        digits_trainer(backend="gpu")


def test_a_result_lies_where_an_input_ends():
    x, w = buffers("x", "w", size=(200, 200))

    def arena(function):
        graph = cr.capture(function)
        return NativeStep(graph, StateBlock([x, w])).plan.arena_size

    one = 200 * 200 * 8
    # the epilogue of a product in the product's place; a program in its input's
    assert arena(lambda: cr.tanh(x @ w)) < one + 4096
    assert arena(lambda: cr.exp(cr.softmax(x, 0).T) * 2.0) <= 3 * one + 4096
    # but not where the input is needed later
    assert arena(lambda: (x @ w, cr.tanh(x @ w))) >= 2 * one
    assert_same(lambda: (x @ w, cr.tanh(x @ w) * (x @ w)), [x, w], rtol=1e-9)
    assert_same(lambda: cr.exp(cr.tanh(x @ w).T) * w, [x, w], rtol=1e-9)
