"""Attention and transformers against PyTorch, in float64: eagerly, captured, and natively."""

import numpy as np
import pytest
from pytorch_databases import module_db, module_inputs, torch

import chainrule as cr
from chainrule import nn
from chainrule.execute.native import NativeStep
from chainrule.execute.state_block import StateBlock
from chainrule.nn import functional
from chainrule.testing import check_gradient

CLOSE = {"rtol": 1e-10, "atol": 1e-11}
pytestmark = pytest.mark.filterwarnings("ignore")  # PyTorch's own

STEPS = {
    "MultiheadAttention": 5,
    "TransformerEncoderLayer": 5,
    "TransformerDecoderLayer": 9,
    "Transformer": 7,
}
INFOS = {i.module_cls.__name__: i for i in module_db if i.module_cls.__name__ in STEPS}


def native(function, leaves):
    graph = cr.capture(function)
    step = NativeStep(graph, StateBlock([*leaves, *graph.reads]))
    step.run(None, 0, 1)
    return step.outputs()


def ours_of(x):
    return x.detach().numpy().copy() if isinstance(x, torch.Tensor) else x


def first(y):
    """The floating results of a call; weights that were not asked for are None."""
    return [t for t in (y if isinstance(y, tuple) else (y,)) if t is not None]


def derivatives(call, leaves, parameters, rng, *, second=True):
    """Results, gradients, and the second derivatives along one direction."""
    ys = first(call())
    loss = sum((y * y * cr.tensor(rng.standard_normal(y.shape))).sum() for y in ys)
    grads = cr.grad(loss, [*leaves, *parameters])
    if not second:
        return [*ys, *grads]
    inner = sum((g * cr.tensor(rng.standard_normal(g.shape))).sum() for g in grads)
    return [*ys, *grads, *cr.grad(inner, leaves)]


def torch_derivatives(call, leaves, parameters, rng, *, second=True):
    ys = first(call())
    loss = sum((y * y * torch.as_tensor(rng.standard_normal(y.shape))).sum() for y in ys)
    targets = [*leaves, *parameters]
    keywords = {"allow_unused": True, "materialize_grads": True}
    grads = torch.autograd.grad(loss, targets, create_graph=second, **keywords)
    found = [*ys, *grads]
    if second:
        inner = sum((g * torch.as_tensor(rng.standard_normal(g.shape))).sum() for g in grads)
        found += torch.autograd.grad(inner, leaves, **keywords)
    return [t.detach().numpy() for t in found]


def agree(ours, theirs):
    assert len(ours) == len(theirs)
    for found, wanted in zip(ours, theirs, strict=True):
        assert tuple(found.shape) == wanted.shape
        np.testing.assert_allclose(np.asarray(found), wanted, **CLOSE)


def compare(ours, theirs, args, kwargs):
    """One call of two modules with the same parameters."""
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        leaves = {
            i: x.detach().clone().requires_grad_()
            for i, x in enumerate(args)
            if isinstance(x, torch.Tensor)
        }
        wanted = torch_derivatives(
            lambda: theirs(*leaves.values(), **kwargs),
            list(leaves.values()),
            list(theirs.parameters()),
            np.random.default_rng(3),
        )
    own = [cr.Parameter(x.detach().numpy()) for x in leaves.values()]
    given = {k: ours_of(v) for k, v in kwargs.items()}

    def call():
        return derivatives(
            lambda: ours(*own, **given), own, list(ours.parameters()), np.random.default_rng(3)
        )

    agree(call(), wanted)
    agree(native(call, own), wanted)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", STEPS)
def test_pytorch_samples(name, training):
    checked = 0
    samples = [s for s in module_inputs(INFOS[name], training) if s.forward_input is not None]
    # The samples count through flags of two values: with these steps any two of them meet in all
    # four ways.
    for sample in samples[:: STEPS[name]]:
        made = sample.constructor_input
        kwargs = {k: v for k, v in made.kwargs.items() if k not in ("dtype", "device")}
        theirs = INFOS[name].module_cls(*made.args, **kwargs).double().train(training)
        activations = {torch.nn.functional.gelu: "gelu", torch.nn.functional.relu: "relu"}
        args = [activations.get(a, a) if callable(a) else a for a in made.args]
        ours = getattr(nn, name)(*args, **kwargs, dtype="float64").train(training)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        ours.load_state_dict({k: ours_of(v) for k, v in theirs.state_dict().items()})
        given = sample.forward_input
        compare(ours, theirs, given.args, given.kwargs)
        checked += 1
    assert checked > 5


@pytest.mark.parametrize("name", ["src", "tgt", "memory"])
@pytest.mark.parametrize("rest", ["mask", "key_padding_mask"])
def test_a_transformer_hands_every_mask_on(name, rest):
    """Those of the memory are in none of PyTorch's samples."""
    rng = np.random.default_rng(6)
    lengths = {"src": 5, "tgt": 4, "memory": 5}
    rows = 3 if rest == "key_padding_mask" else {**lengths, "memory": 4}[name]
    blind = np.zeros((rows, lengths[name]), bool)
    blind[1:, -2] = True
    theirs = torch.nn.Transformer(4, 2, 2, 2, 8, dropout=0.0).double()
    ours = nn.Transformer(4, 2, 2, 2, 8, dropout=0.0, dtype="float64")
    ours.load_state_dict({k: ours_of(v) for k, v in theirs.state_dict().items()})
    given = [torch.tensor(rng.standard_normal((lengths[k], 3, 4))) for k in ("src", "tgt")]
    compare(ours, theirs, given, {f"{name}_{rest}": torch.tensor(blind)})


MASKS = {
    "none": {},
    "causal": {"is_causal": True},
    "bool": {"attn_mask": (np.arange(35).reshape(5, 7) * 7919) % 3 > 0},
    "blind": {"attn_mask": np.arange(5)[:, None] + np.zeros(7) > 1},
    "added": {"attn_mask": np.random.default_rng(4).standard_normal((3, 5, 7))},
    "keys": {"attn_mask": np.arange(7)[None, None, None] + np.zeros((2, 1, 1, 1)) < 6},
    "scale": {"scale": 0.3},
}


@pytest.mark.parametrize("lead", [(), (3,), (2, 3), (2, 2, 3)])
@pytest.mark.parametrize("mask", MASKS)
def test_scaled_dot_product_attention(mask, lead):
    given = MASKS[mask]
    needs = np.ndim(given.get("attn_mask", 0)) - 2
    if len(lead) < needs or (mask == "keys" and lead == (2, 2, 3)):
        pytest.skip("the mask has other axes")
    rng = np.random.default_rng(5)
    shapes = (*lead, 5, 3), (*lead, 7, 3), (*lead, 7, 2)
    q, k, v = (rng.standard_normal(shape) for shape in shapes)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        theirs = [torch.tensor(x, requires_grad=True) for x in (q, k, v)]
        keywords = {k: torch.as_tensor(v) if k == "attn_mask" else v for k, v in given.items()}
        wanted = torch_derivatives(
            lambda: torch.nn.functional.scaled_dot_product_attention(*theirs, **keywords),
            theirs,
            [],
            np.random.default_rng(6),
        )
    own = [cr.Parameter(x) for x in (q, k, v)]

    def call():
        y = functional.scaled_dot_product_attention
        return derivatives(lambda: y(*own, **given), own, [], np.random.default_rng(6))

    agree(call(), wanted)
    agree(native(call, own), wanted)


def test_a_mask_of_numbers_has_a_gradient():
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, 4, 3)) for _ in range(3))
    check_gradient(
        functional.scaled_dot_product_attention, q, k, v, rng.standard_normal((4, 4)), rtol=1e-5
    )


def test_fewer_heads_of_keys_serve_several_of_the_query():
    rng = np.random.default_rng(0)
    q = rng.standard_normal((2, 4, 5, 3))
    k, v = rng.standard_normal((2, 2, 2, 6, 3))
    y = functional.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    wanted = torch.nn.functional.scaled_dot_product_attention(
        *map(torch.as_tensor, (q, k, v)), enable_gqa=True
    )
    np.testing.assert_allclose(y.numpy(), wanted.numpy(), **CLOSE)
    with pytest.raises(cr.ShapeError, match="multiple"):
        functional.scaled_dot_product_attention(q[:, :3], k, v, enable_gqa=True)


@pytest.mark.parametrize(
    ("queries", "keys", "width", "causal", "dtype"),
    [
        (130, 130, 20, True, "float64"),
        (65, 200, 33, False, "float64"),
        (200, 65, 16, True, "float32"),
        (64, 64, 32, True, "float32"),
        (1, 129, 7, False, "float32"),
        (3, 0, 4, False, "float64"),
        (0, 3, 4, False, "float64"),
    ],
)
def test_tiles(queries, keys, width, causal, dtype):
    """Longer than a tile, of odd widths: the plan's numbers are those of NumPy."""
    rng = np.random.default_rng(1)
    states = [
        cr.Parameter(rng.standard_normal((2, 3, n, width)).astype(dtype))
        for n in (queries, keys, keys)
    ]

    def call():
        y = functional.scaled_dot_product_attention(*states, is_causal=causal)
        loss = (y * cr.tensor(rng_of(y.shape, dtype))).sum()
        return [y, *cr.grad(loss, states)]

    close = {"rtol": 1e-10, "atol": 1e-12} if dtype == "float64" else {"rtol": 2e-4, "atol": 2e-5}
    for found, wanted in zip(native(call, states), call(), strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), **close)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("low", [-100.0, -1000.0, -1e30])
@pytest.mark.parametrize("hidden", [0, 64, 100])
def test_scores_that_are_all_low(dtype, low, hidden):
    """The weights are equal, wherever the keys that count begin, though exp(low) is 0."""
    mask = np.full((1, 130), low, dtype)
    mask[:, :hidden] = -np.inf
    q, k = np.zeros((1, 1, 1, 4), dtype), np.zeros((1, 1, 130, 4), dtype)
    v = rng_of((1, 1, 130, 3), dtype)
    state = [cr.Parameter(a) for a in (q, k, v)]

    def call():
        y = functional.scaled_dot_product_attention(*state, attn_mask=mask)
        return [y, cr.grad(y.sum(), state[2])]

    mean = v[0, 0, hidden:].mean(axis=0)
    weights = (mask[0] == low) / (130 - hidden)
    for y, dv in (native(call, state), [t.numpy() for t in call()]):
        np.testing.assert_allclose(y.ravel(), mean, 1e-5, 1e-6)
        if low >= -1000:  # a logarithm of sums of lower scores has no digits for their number
            np.testing.assert_allclose(dv[0, 0, :, 0], weights, 1e-3)


def rng_of(shape, dtype):
    return np.random.default_rng(2).standard_normal(shape).astype(dtype)


def self_attention(batch, places, heads, width):
    """A step of self-attention by one projection, as GPT code writes it; and its states."""
    rng = np.random.default_rng(0)
    x = cr.Parameter(rng.standard_normal((batch, places, heads * width)).astype("f"))
    w = cr.Parameter((rng.standard_normal((3 * heads * width, heads * width)) / 8).astype("f"))

    def call():
        q, k, v = (
            t.reshape(batch, places, heads, width).swapaxes(1, 2)
            for t in cr.split(functional.linear(x, w), 3, axis=2)
        )
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        y = y.swapaxes(1, 2).reshape(batch, places, heads * width)
        return [y, *cr.grad((y * y).sum(), [x, w])]

    return call, [x, w]


def test_a_projection_is_read_and_written_in_place():
    """No copy of queries, keys and values, and none of their gradients."""
    call, states = self_attention(2, 5, 2, 4)
    graph = cr.capture(call)
    step = NativeStep(graph, StateBlock([*states, *graph.reads]))
    kinds = [c.kind for c in step.plan.calls]
    assert kinds.count("attention") == kinds.count("attention_grad") == 1
    assert not {"copy", "fill"} & set(kinds)
    step.run(None, 0, 1)
    for found, wanted in zip(step.outputs(), call(), strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-4, atol=1e-5)


def test_the_same_bits_for_any_number_of_threads():
    call, states = self_attention(3, 150, 2, 12)
    before, found = cr.get_num_threads(), []
    try:
        for threads in (1, 2):
            cr.set_num_threads(threads)
            found.append([y.tobytes() for y in native(call, states)])
    finally:
        cr.set_num_threads(before)
    assert found[0] == found[1]


def test_one_node_has_the_gradients_of_query_keys_and_values():
    rng = np.random.default_rng(0)
    inputs = [cr.tensor(rng.standard_normal((2, 3, 4)), requires_grad=True) for _ in range(3)]
    y = functional.scaled_dot_product_attention(*inputs)
    grads = cr.grad(y.sum(), inputs, create_graph=True)
    names = [str(node.operation) for node in cr.graph.ancestors(sum(g.sum() for g in grads))]
    assert sum("attention_grad" in name for name in names) == 1
    assert sum("attention_lse" in name for name in names) == 1


def test_no_matrix_of_scores_lies_in_memory():
    call, states = self_attention(1, 1024, 1, 8)
    graph = cr.capture(call)
    step = NativeStep(graph, StateBlock([*states, *graph.reads]))
    assert step.plan.arena_size < 1024 * 1024 * 4 / 4  # a quarter of one


@pytest.mark.parametrize("average", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
def test_weights_and_widths(average, batch_first):
    rng = np.random.default_rng(0)
    theirs = torch.nn.MultiheadAttention(
        4, 2, kdim=3, vdim=5, add_bias_kv=True, batch_first=batch_first, dtype=torch.float64
    )
    ours = nn.MultiheadAttention(
        4, 2, kdim=3, vdim=5, add_bias_kv=True, batch_first=batch_first, dtype="float64"
    )
    assert repr(ours).replace(", dtype='float64'", "") == repr(theirs)
    ours.load_state_dict({k: ours_of(v) for k, v in theirs.state_dict().items()})
    inputs = [rng.standard_normal((2, 2, width)) for width in (4, 3, 5)]
    padding = np.array([[False, True], [False, False]])
    wanted = theirs(
        *map(torch.as_tensor, inputs), torch.as_tensor(padding), average_attn_weights=average
    )
    found = ours(*inputs, padding, average_attn_weights=average)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), **CLOSE)


def test_is_causal_alone_means_the_causal_mask():
    layer = nn.MultiheadAttention(4, 2, add_zero_attn=True, dtype="float64")
    x = cr.tensor(np.random.default_rng(0).standard_normal((5, 2, 4)))
    mask = ~np.tri(5, dtype=bool)
    wanted = layer(x, x, x, attn_mask=mask)[0].numpy()
    for weights in (True, False):
        found = layer(x, x, x, need_weights=weights, is_causal=True)[0]
        np.testing.assert_allclose(np.asarray(found), wanted, **CLOSE)


@pytest.mark.parametrize("make", ["encoder", "decoder"])
def test_stacks(make):
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    kind = make.capitalize()
    layer, theirs_layer = (
        getattr(lib, f"Transformer{kind}Layer")(8, 2, 16, 0.0, **dtype)
        for lib, dtype in ((nn, {"dtype": "float64"}), (torch.nn, {"dtype": torch.float64}))
    )
    ours = getattr(nn, f"Transformer{kind}")(layer, 2, nn.LayerNorm(8, dtype="float64"))
    theirs = getattr(torch.nn, f"Transformer{kind}")(
        theirs_layer, 2, torch.nn.LayerNorm(8, dtype=torch.float64)
    )
    assert all(
        np.array_equal(a, b)
        for a, b in zip(*(list(part.state_dict().values()) for part in ours.layers), strict=True)
    )
    ours.load_state_dict({k: ours_of(v) for k, v in theirs.state_dict().items()})
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((5, 3, 8))] + [rng.standard_normal((4, 3, 8))] * (
        make == "decoder"
    )
    name = "mask" if make == "encoder" else "tgt_mask"
    found = ours(*inputs, **{name: mask})
    wanted = theirs(*map(torch.as_tensor, inputs), **{name: torch.as_tensor(mask.numpy())})
    np.testing.assert_allclose(found.numpy(), wanted.detach().numpy(), **CLOSE)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.MultiheadAttention(5, 2), ValueError, "must divide"),
        (lambda: nn.TransformerEncoderLayer(4, 2, activation="swish"), ValueError, "relu, gelu"),
        (
            lambda: functional.scaled_dot_product_attention(
                *np.zeros((3, 2, 4)), attn_mask=np.zeros((3, 3))
            ),
            cr.ShapeError,
            "does not broadcast",
        ),
        (
            lambda: functional.scaled_dot_product_attention(
                *np.zeros((3, 2, 4)), attn_mask=np.zeros((2, 2)), is_causal=True
            ),
            ValueError,
            "not both",
        ),
        (
            lambda: nn.MultiheadAttention(4, 2)(*np.zeros((3, 5, 2, 4), "f"), np.zeros((5, 2))),
            cr.ShapeError,
            r"must be \(2, 5\)",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_dropout_of_weights_counts_in_training_alone():
    layer = nn.MultiheadAttention(4, 2, dropout=0.5)
    x = cr.tensor(np.random.default_rng(0).standard_normal((6, 2, 4)).astype("f"))
    cr.manual_seed(0)
    _, dropped = layer(x, x, x)
    assert (dropped.numpy() == 0).any()
    _, whole = layer.eval()(x, x, x)
    np.testing.assert_allclose(whole.numpy().sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (lambda: nn.MultiheadAttention(8, 2, batch_first=True), {}),
        (lambda: nn.MultiheadAttention(8, 2, 0.1, batch_first=True, add_bias_kv=True), {}),
        (
            lambda: nn.MultiheadAttention(8, 2, batch_first=True, add_zero_attn=True),
            {"key_padding_mask": np.zeros((0, 5), bool), "need_weights": False},
        ),
        (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), {}),
        (lambda: nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), {}),
        (lambda: nn.Transformer(8, 2, 1, 1, 16, batch_first=True), {}),
    ],
)
def test_a_batch_may_be_empty(make, options):
    layer = make()
    given = 1 if isinstance(layer, nn.TransformerEncoderLayer) else 2
    given += isinstance(layer, nn.MultiheadAttention)

    def step(x):
        y = first(layer(*[x] * given, **options))[0]
        return y, cr.grad(y.sum(), [x, *layer.parameters()])

    for call in (step, cr.compile(step)):
        y, gradients = call(cr.zeros((0, 5, 8), requires_grad=True))
        assert y.shape == (0, 5, 8)
        assert not any(np.any(gradient.numpy()) for gradient in gradients)
