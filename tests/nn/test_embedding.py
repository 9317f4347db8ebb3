"""Look-ups in tables, one by one and in bags, against PyTorch: eagerly, captured and natively."""

import numpy as np
import pytest
from nn_parity import torch

import chainrule as cr
from chainrule import nn, optim
from chainrule.execute.native import NativeStep
from chainrule.execute.state_block import StateBlock

CLOSE = {"rtol": 1e-12, "atol": 1e-13}
random = np.random.default_rng(0)
TABLE = random.standard_normal((7, 3))
WORDS = np.array([[0, 3, 3, 6], [3, 1, 6, 6], [2, 2, 2, 2]])
FLAT = np.array([4, 0, 3, 3, 6, 1, 3, 0, 2])


def planned(function, states):
    graph = cr.capture(function)
    step = NativeStep(graph, StateBlock([*states, *graph.reads]))
    step.run(None, 0, 1)
    return step.outputs()


def pairs(name, options):
    """Our layer and PyTorch's, with one table."""
    ours = getattr(nn, name)(7, 3, **options, dtype="float64")
    theirs = getattr(torch.nn, name)(7, 3, **options, dtype=torch.float64)
    ours.weight.assign(TABLE)
    theirs.load_state_dict({"weight": torch.tensor(TABLE)})
    return ours, theirs


def compare(name, options, *inputs, weights=None):
    """Output, gradients and the table after the call: eagerly and natively as PyTorch has them."""
    projection, direction = (random.standard_normal(s) for s in (64, (7, 3)))
    ours, theirs = pairs(name, options)
    keywords = {} if weights is None else {"per_sample_weights": cr.Parameter(weights)}
    targets = [ours.weight, *keywords.values()]

    def results():
        y = ours(*(cr.Tensor(i) for i in inputs), **keywords)
        loss = (y * y * projection[: y.size].reshape(y.shape)).sum()
        grads = cr.grad(loss, targets)
        (second,) = cr.grad((grads[0] * direction).sum(), [ours.weight])
        return [y, *grads, second]

    eager = [t.numpy() for t in results()]
    table = ours.weight.numpy()
    ours.weight.assign(TABLE)
    native = planned(results, targets)
    given = {k: torch.tensor(weights, requires_grad=True) for k in keywords}
    y = theirs(*map(torch.tensor, inputs), **given)
    loss = (y * y * torch.tensor(projection[: y.numel()].reshape(y.shape))).sum()
    wanted = torch.autograd.grad(loss, [theirs.weight, *given.values()], retain_graph=True)
    values = [y, *wanted]
    for way in (eager, native):
        for found, value in zip(way, values, strict=False):
            np.testing.assert_allclose(found, value.detach().numpy(), **CLOSE)
    np.testing.assert_allclose(eager[-1], native[-1], **CLOSE)
    np.testing.assert_allclose(table, theirs.weight.detach().numpy(), **CLOSE)
    assert repr(getattr(nn, name)(7, 3, **options)) == repr(theirs)


@pytest.mark.parametrize("indices", [WORDS, FLAT, np.array(5), np.zeros((2, 0), int)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding_idx": 3},
        {"padding_idx": -1, "sparse": False},
        {"max_norm": 1.2},
        {"max_norm": 1.0, "norm_type": 1.0, "padding_idx": 0},
        {"max_norm": 0.5, "norm_type": float("inf")},
        {"scale_grad_by_freq": True},
        {"scale_grad_by_freq": True, "padding_idx": 3},
    ],
    ids=str,
)
def test_embedding_is_pytorchs(options, indices):
    compare("Embedding", options, indices)


def test_second_derivatives_are_pytorchs():
    ours, theirs = pairs("Embedding", {"padding_idx": 3})
    direction = random.standard_normal((7, 3))
    (g,) = cr.grad((ours(WORDS) ** 3).sum(), [ours.weight])
    (found,) = cr.grad((g * direction).sum(), [ours.weight])
    loss = (theirs(torch.tensor(WORDS)) ** 3).sum()
    (g,) = torch.autograd.grad(loss, theirs.weight, create_graph=True)
    (wanted,) = torch.autograd.grad((g * torch.tensor(direction)).sum(), theirs.weight)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), **CLOSE)


OFFSETS = [
    np.array([0]),
    np.array([0, 2, 2, 5]),  # an empty bag
    np.array([0, 0, 3, 9, 9]),  # empty ones at both ends
    np.arange(9),
]


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize(
    "options",
    [{}, {"padding_idx": 3}, {"max_norm": 1.1}, {"max_norm": 0.5, "norm_type": float("inf")}],
    ids=str,
)
def test_embedding_bag_is_pytorchs(mode, options):
    options = {"mode": mode, **options}
    compare("EmbeddingBag", options, WORDS)
    for offsets in OFFSETS:
        compare("EmbeddingBag", options, FLAT, offsets)
    compare("EmbeddingBag", {**options, "include_last_offset": True}, FLAT, np.array([0, 4, 9]))


@pytest.mark.parametrize("offsets", [None, *OFFSETS[:3]])
def test_weighted_bags_are_pytorchs(offsets):
    inputs = (WORDS,) if offsets is None else (FLAT, offsets)
    weights = random.standard_normal(inputs[0].shape)
    for options in ({}, {"padding_idx": 3}):
        compare("EmbeddingBag", {"mode": "sum", **options}, *inputs, weights=weights)


def test_bags_whose_gradients_are_divided_by_the_number_of_uses():
    """PyTorch divides by the number of another row's uses where an index is not among the first."""
    layer, bag = (
        nn.Embedding(7, 3, scale_grad_by_freq=True, dtype="float64"),
        nn.EmbeddingBag(7, 3, scale_grad_by_freq=True, mode="sum", dtype="float64"),
    )
    for module, y in ((layer, lambda: layer(WORDS).sum(1)), (bag, lambda: bag(WORDS))):
        module.weight.assign(TABLE)
        (y() ** 2).sum().backward()
    np.testing.assert_allclose(bag.weight.grad.numpy(), layer.weight.grad.numpy(), **CLOSE)
    assert bag.weight.grad.numpy().any()


def test_bags_without_words():
    for mode in ("sum", "mean", "max"):
        layer = nn.EmbeddingBag(7, 3, mode=mode)
        assert layer(np.zeros((2, 0), int)).tolist() == [[0.0] * 3] * 2
        assert layer(np.zeros(0, int), np.array([0, 0])).tolist() == [[0.0] * 3] * 2
        assert layer(np.zeros(0, int), np.zeros(0, int)).shape == (0, 3)
        padded = nn.EmbeddingBag(7, 3, mode=mode, padding_idx=1)
        assert padded(np.ones((1, 2), int)).tolist() == [[0.0] * 3]


def test_a_table_begins_as_in_pytorch():
    cr.manual_seed(0)
    layer = nn.Embedding(1000, 50, padding_idx=-2)
    table = layer.weight.numpy()
    assert layer.padding_idx == 998 and not table[998].any()
    assert abs(table.mean()) < 0.02 and abs(table.std() - 1) < 0.02
    assert table.dtype == np.float32
    layer.reset_parameters()
    assert not (layer.weight.numpy()[:998] == table[:998]).any(axis=1).all()


def test_pretrained_tables():
    frozen = nn.Embedding.from_pretrained(TABLE, padding_idx=1)
    assert not frozen.weight.requires_grad and frozen.weight.dtype == np.float64
    np.testing.assert_array_equal(frozen(WORDS).numpy(), TABLE[WORDS])
    bag = nn.EmbeddingBag.from_pretrained(TABLE, freeze=False, mode="sum")
    assert bag.weight.requires_grad
    np.testing.assert_allclose(bag(WORDS).numpy(), TABLE[WORDS].sum(1), **CLOSE)


@pytest.mark.parametrize("width", [1, 2, 3])  # rows of 4 and of 8 bytes are copied as numbers
@pytest.mark.parametrize("index", [7, -1])
def test_an_index_out_of_range_changes_nothing(index, width):
    layer, wrong = nn.Embedding(7, width), np.array([[0, 1], [2, index]])
    message = f"index {index} is out of range for a table of 7 rows"
    with pytest.raises(IndexError, match=message):
        layer(wrong)
    model = nn.Sequential(layer, nn.Flatten(), nn.Linear(2 * width, 2))
    before = model.state_dict()
    x, y = np.concatenate([WORDS[:, :2], wrong]), np.array([0, 1, 0, 1, 0])
    for backend in ("native", "reference"):
        optimizer = optim.Adam(model.parameters(), lr=0.1)
        trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, backend=backend)
        with pytest.raises(IndexError, match=message):
            trainer.fit(x, y, epochs=2, batch_size=1)
        with pytest.raises(IndexError, match=message):
            trainer.predict(x)
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    @cr.compile
    def step(x, y, shift):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x + shift), y)
        loss.backward()
        optimizer.step()
        return loss

    with pytest.raises(IndexError, match=r"out of range"):
        step(wrong, y[:2], np.int64(0))
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    step(np.array([[0, 1], [2, 6]]), y[:2], np.int64(0))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Embedding(7, 3)(np.array([0.0])), cr.DTypeError, "integers, not float64"),
        (lambda: nn.Embedding(7, 3, padding_idx=7), ValueError, "one of 7 rows"),
        (lambda: nn.Embedding(7, 3, max_norm=0), ValueError, "max_norm is positive"),
        (lambda: nn.Embedding(0, 3), ValueError, "num_embeddings is at least 1"),
        (lambda: nn.Embedding(7, 3, sparse="yes"), TypeError, "sparse is True or False"),
        (lambda: nn.Embedding.from_pretrained([1.0]), cr.ShapeError, "are a table"),
        (lambda: nn.functional.embedding([0], [1.0]), cr.ShapeError, "the weight is a table"),
        (
            lambda: nn.functional.embedding([0], cr.tensor(TABLE), max_norm=1.0),
            TypeError,
            "a Parameter or Buffer",
        ),
        (lambda: nn.EmbeddingBag(7, 3, mode="min"), ValueError, "'sum', 'mean' or 'max'"),
        (lambda: nn.EmbeddingBag(7, 3)(FLAT), ValueError, "needs offsets"),
        (lambda: nn.EmbeddingBag(7, 3)(WORDS, [0]), ValueError, "are bags already"),
        (lambda: nn.EmbeddingBag(7, 3)(FLAT, [1, 2]), ValueError, "begin at 0"),
        (lambda: nn.EmbeddingBag(7, 3)(FLAT, [0, 3, 2]), ValueError, "never fall"),
        (lambda: nn.EmbeddingBag(7, 3)(FLAT, [0, 10]), ValueError, "up to 9"),
        (lambda: nn.EmbeddingBag(7, 3)(FLAT, [[0]]), cr.ShapeError, "1-d"),
        (lambda: nn.EmbeddingBag(7, 3)(WORDS[None]), cr.ShapeError, r"\(B, N\) or \(N,\)"),
        (
            lambda: nn.EmbeddingBag(7, 3)(WORDS, per_sample_weights=np.ones((3, 4))),
            ValueError,
            "for mode='sum'",
        ),
        (
            lambda: nn.EmbeddingBag(7, 3, mode="sum")(WORDS, per_sample_weights=[1.0]),
            cr.ShapeError,
            r"\(3, 4\), not \(1,\)",
        ),
        (
            lambda: nn.EmbeddingBag(7, 3, mode="max", scale_grad_by_freq=True),
            ValueError,
            "sums and means",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_offsets_that_are_refused_leave_the_table():
    layer = nn.EmbeddingBag(7, 3, max_norm=0.1)
    before = layer.weight.numpy()
    with pytest.raises(ValueError, match="begin at 0"):
        layer(FLAT, [1, 2])
    np.testing.assert_array_equal(layer.weight.numpy(), before)


def test_offsets_that_are_not_known_before_are_checked_by_the_core():
    layer = nn.EmbeddingBag(7, 3, mode="sum")
    bags = cr.compile(lambda words, offsets: layer(words, offsets))
    np.testing.assert_allclose(
        bags(FLAT, np.array([0, 4])).numpy(), layer(FLAT, np.array([0, 4])).numpy(), rtol=1e-6
    )
    for offsets in ([1, 4], [0, 10]):
        with pytest.raises(IndexError, match=r"out of range|must lie in"):
            bags(FLAT, np.array(offsets))


def test_rows_are_shortened_in_training_and_in_prediction():
    """As in PyTorch: whatever the mode, a look-up shortens a row of the table."""
    model = nn.Sequential(nn.Embedding(7, 3, max_norm=0.1), nn.Flatten(), nn.Linear(12, 2))
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=1e-3))
    trainer.predict(WORDS[2:])
    norms = np.linalg.norm(model[0].weight.numpy(), axis=1)
    assert norms[2] < 0.1001 and (norms[[0, 1, 3, 4, 5, 6]] > 0.11).all()
    trainer.fit(WORDS, [0, 1, 0], epochs=1, batch_size=2)
    norms = np.linalg.norm(model[0].weight.numpy(), axis=1)
    assert (norms[[0, 1, 2, 3, 6]] < 0.11).all() and norms[4] > 0.11


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("include_last_offset", [False, True])
def test_offsets_that_a_captured_step_is_given_are_checked(mode, include_last_offset):
    layer = nn.EmbeddingBag(5, 2, mode=mode, include_last_offset=include_last_offset)
    call = cr.compile(lambda i, o: layer(i, o))
    indices = np.array([1, 2, 3])
    for offsets in ([0, 1, 3], [0, 0, 0], [0, 3, 3]):
        wanted = layer(indices, np.array(offsets)).numpy()
        np.testing.assert_array_equal(call(indices, np.array(offsets)).numpy(), wanted)
    for offsets in ([0, 2, 1], [0, 3, 2], [1, 1, 3], [0, -1, 2], [-1, 0, 3], [0, 1, 4], [0, 9, 9]):
        with pytest.raises(ValueError, match="begin at 0"):
            layer(indices, np.array(offsets))
        with pytest.raises(IndexError):
            call(indices, np.array(offsets))


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("wrong", [-1, 4])
def test_a_step_that_needs_the_gradient_of_a_table_alone_refuses_wrong_indices(wrong, backend):
    table = cr.Parameter(np.ones((4, 2)))
    optimizer = optim.SGD([table], lr=1.0)

    @cr.compile(backend=backend)
    def step(indices):
        optimizer.zero_grad()
        nn.functional.embedding(indices, table).sum().backward()
        optimizer.step()

    step(np.array([0, 3]))
    with pytest.raises(IndexError, match=f"index {wrong} is out of range for a table of 4 rows"):
        step(np.array([0, wrong]))
    np.testing.assert_array_equal(table.numpy(), [[0, 0], [1, 1], [1, 1], [0, 0]])


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])  # of rows that were looked up alone, and of all
@pytest.mark.parametrize("wrong", [-1, 4])
def test_so_does_one_that_computes_the_indices(wrong, momentum, backend):
    table = cr.Parameter(np.ones((4, 2)))
    optimizer = optim.SGD([table], lr=1.0, momentum=momentum)

    @cr.compile(backend=backend)
    def step(indices):
        optimizer.zero_grad()
        bags = nn.functional.embedding_bag((indices - 1).reshape(1, -1), table, mode="sum")
        (nn.functional.embedding(indices - 1, table).sum() + bags.sum()).backward()
        optimizer.step()

    step(np.array([1, 4]))
    with pytest.raises(IndexError, match="out of range"):
        step(np.array([1, wrong + 1]))
    np.testing.assert_array_equal(table.numpy(), [[-1, -1], [1, 1], [1, 1], [-1, -1]])


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("wrong", [-1, 4])
def test_so_does_one_that_needs_the_gradients_gradient_alone(wrong, backend):
    table, weight = cr.Parameter(np.ones((4, 2))), cr.Parameter(np.ones((2, 2)))
    optimizer = optim.SGD([weight], lr=1.0)

    @cr.compile(backend=backend)
    def step(indices):
        optimizer.zero_grad()
        loss = (nn.functional.embedding(indices - 1, table) * weight).sum()
        (cr.grad(loss, table) * np.arange(8.0).reshape(4, 2)).sum().backward()
        optimizer.step()

    step(np.array([1, 4]))
    np.testing.assert_array_equal(weight.numpy(), [[1, 0], [-5, -6]])
    with pytest.raises(IndexError, match="out of range"):
        step(np.array([1, wrong + 1]))
    np.testing.assert_array_equal(weight.numpy(), [[1, 0], [-5, -6]])
