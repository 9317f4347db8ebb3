"""Models that are dropped free their memory at once, as no cycle holds their arrays."""

import gc
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim


def eager_step(model, x, y):
    optimizer = optim.Adam(model.parameters())
    nn.CrossEntropyLoss()(model(cr.tensor(x)), cr.tensor(y)).backward()
    optimizer.step()


def trained(model, x, y):
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), seed=0)
    trainer.fit(x, y, epochs=1, validation_data=(x, y), progress=False)
    trainer.predict(x)
    model(cr.tensor(x))


def compiled_step(model, x, y):
    optimizer, loss_fn = optim.Adam(model.parameters()), nn.CrossEntropyLoss()

    @cr.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    step(x, y)


@pytest.mark.parametrize(
    "use",
    [
        lambda model, x, y: model(cr.tensor(x)),
        lambda model, x, y: (model(cr.tensor(x)) ** 2.0).sum().backward(),
        eager_step,
        trained,
        compiled_step,
    ],
)
def test_a_model_that_is_dropped_frees_its_memory_at_once(use):
    """Not when Python's collector next looks for cycles, which many large models may precede."""
    x, y = np.ones((8, 4), "float32"), np.arange(8) % 3
    use(nn.Linear(4, 3), x, y)  # what is imported and built once
    model = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.Linear(16, 3))
    held = [weakref.ref(state) for state in (*model.parameters(), *model.buffers())]
    gc.collect()
    gc.disable()
    try:
        use(model, x, y)
        del model
        assert [state() for state in held] == [None] * len(held)
    finally:
        gc.enable()


@pytest.mark.parametrize("normalise", [nn.utils.weight_norm, nn.utils.spectral_norm])
def test_a_layer_of_a_computed_weight_frees_its_memory_at_once(normalise):
    layer = normalise(nn.Linear(4, 3))
    held = weakref.ref(layer.bias)
    gc.disable()
    try:
        layer(np.ones((2, 4), "float32")).sum().backward()
        del layer
        assert held() is None
    finally:
        gc.enable()


def test_gradients_do_not_keep_the_forward_pass_in_memory():
    v, w = cr.Parameter([1.0, 2.0]), cr.Parameter([5.0, 6.0])
    h = cr.exp(v)
    held = weakref.ref(h)
    (h * w).sum().backward()
    del h
    assert held() is None
    assert w.grad.tolist() == pytest.approx([np.exp(1.0), np.exp(2.0)], rel=1e-6)


def test_a_parameter_is_one_node_of_a_graph_after_other_graphs_are_gone():
    w = cr.Parameter([2.0])
    for _ in range(2):
        z = w * w + w
        (g,) = cr.grad(z.sum(), [w])
        assert g.tolist() == [5.0]
        product, leaf = cr.get_inputs(z)
        assert all(factor is leaf for factor in product.inputs)
        del z, g
