"""`cr.draw` of models by layer: boxes that fold, layers that open, and no arrow lost."""

import re

import numpy as np
import pytest
from drawings import Residual, arrows, boxes, check, parsed

import chainrule as cr
from chainrule import nn
from chainrule.inspect.pictures.numbers import number_text

MODELS = {
    "wide": (
        lambda: nn.Sequential(
            nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
        ),
        (784,),
        ["x", "Linear", "ReLU", "Linear", "ReLU", "Linear"],
    ),
    "residual": (
        lambda: nn.Sequential(nn.Linear(8, 8), Residual(8)),
        (8,),
        ["x", "Linear", "Linear", "relu", "Linear", "add"],
    ),
    "convolutional": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(4 * 169, 10),
        ),
        (1, 28, 28),
        ["x", "Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Flatten", "Linear"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_models_by_layer_and_by_operation(name):
    make, shape, kinds = MODELS[name]
    model = make()
    drawing = cr.draw(model, shape, level="layers")
    found = boxes(check(drawing))
    assert [lines[0] for lines, _ in found.values()] == kinds
    said = [line for lines, _ in found.values() for line in lines if "parameters" in line]
    numbers = [int(re.sub(r"\D", "", line)) for line in said]
    assert sum(numbers) == sum(p.size for p in model.parameters())
    check(cr.draw(model, shape))
    check(cr.draw(model, shape, level="layers", direction="right"), horizontal=True)
    batch = np.ones((2, *shape), "float32")
    with_values = boxes(check(cr.draw(model.eval(), batch, values=True, level="layers")))
    output = model(cr.tensor(batch)).numpy()
    last = list(with_values.values())[-1][0]
    assert f"mean {number_text(float(output.astype('f8').mean()))}" in last or output.size <= 20


def test_a_transformer_is_open_where_it_is_asked_to_be():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    model = nn.TransformerEncoder(layer, 2)
    closed = cr.draw(model, (5, 8), level="layers")
    opened = cr.draw(model, (5, 8), level="layers", open="layers.1.linear*")
    root = check(closed)
    # Dropout of nothing computes no more than a random counter, and has no box.
    assert {end for source, target, _ in arrows(root) for end in (source, target)} == set(
        boxes(root)
    )
    more = boxes(check(opened)).values()
    assert len(more) > len(boxes(parsed(closed)))
    names = [lines[0] for lines, _ in more]
    assert "layers.1.linear1.weight" in names and "layers.0.linear1.weight" not in names


class Buffered(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("offset", cr.ones(4))

    def forward(self, x):
        return self.offset * 2


class Noise(nn.Module):
    def forward(self, x):
        return cr.randn(4)


class Shifted(nn.Module):
    """What its part returns depends on no data, and is read by an operation of its own."""

    def __init__(self, part):
        super().__init__()
        self.first, self.part, self.last = nn.Linear(3, 4), part, nn.Linear(4, 2)

    def forward(self, x):
        h = self.first(x)
        return self.last(h + self.part(h))


def reached(root):
    """For each box how many arrows end at it."""
    ends = [target for _, target, _ in arrows(root)]
    return {key: ends.count(key) for key in boxes(root)}


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5), nn.Dropout(0.0), nn.Dropout(0.2)),
        nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.ReLU()),
        Shifted(nn.Dropout(0.3)),
    ],
)
def test_open_layers_lose_no_arrow(model):
    whole = check(cr.draw(model, (3,)))
    opened = check(cr.draw(model, (3,), level="layers", open="*"))
    assert reached(opened) == reached(whole)


class Multiplied(nn.Module):
    """One operation takes two results of a layer, or one twice."""

    def __init__(self, part, both):
        super().__init__()
        self.part, self.both = part, both

    def forward(self, x):
        a, b = self.part(x) if self.both else [self.part(x)] * 2
        return a * b


@pytest.mark.parametrize(("part", "both"), [(nn.LSTMCell(3, 4), True), (nn.Linear(3, 4), False)])
def test_an_operation_alone_has_an_arrow_for_each_input_from_a_folded_layer(part, both):
    root = check(cr.draw(Multiplied(part, both), (3,), level="layers"))
    texts = {key: lines[0] for key, (lines, _) in boxes(root).items()}
    found = [(texts[a], texts[b]) for a, b, _ in arrows(root)]
    layer = type(part).__name__
    assert found == [("x", layer), (layer, "multiply"), (layer, "multiply")]


class Tied(nn.Module):
    def __init__(self, bias):
        super().__init__()
        self.table, self.head = nn.Embedding(6, 4), nn.Linear(4, 6, bias=bias)
        self.head.weight = self.table.weight

    def forward(self, x):
        return self.head(self.table(x))


class Again(nn.Module):
    def __init__(self):
        super().__init__()
        self.part = nn.Linear(3, 3)

    def forward(self, x):
        return self.part(self.part(x).relu())


@pytest.mark.parametrize(
    ("model", "data", "said"),
    [
        (Tied(False), np.zeros((2, 3), "int64"), "24 parameters of table"),
        (Tied(True), np.zeros((2, 3), "int64"), "6 parameters, 24 of table"),
        (Again(), (3,), "12 parameters as before"),
        (nn.GPT(10, 8, 2, 2, 8), np.zeros((2, 8), "int64"), "80 parameters of transformer.wte"),
    ],
)
def test_parameters_that_layers_share_are_counted_once(model, data, said):
    found = boxes(check(cr.draw(model, data, level="layers"))).values()
    lines = [line for lines, _ in found for line in lines if "parameters" in line]
    assert said in lines
    counts = [re.match(r"([\d,]+) parameters(,|$)", line) for line in lines]
    total = sum(int(count[1].replace(",", "")) for count in counts if count)
    assert total == sum(p.size for p in model.parameters())


@pytest.mark.parametrize("part", [Buffered, Noise])
def test_a_layer_that_reads_no_data_has_its_box(part):
    root = check(cr.draw(Shifted(part()), (3,), level="layers"))
    texts = {key: lines[0] for key, (lines, _) in boxes(root).items()}
    kinds = ["x", "Linear", part.__name__, "broadcast_to", "add", "Linear"]
    assert list(texts.values()) == kinds
    assert list(reached(root).values()) == [0, 1, 0, 1, 2, 1]


def test_layers_are_not_joined_by_the_counter_of_random_numbers():
    dropouts = [nn.Dropout(0.5), nn.Dropout(0.0), nn.Dropout(0.2)]
    root = check(cr.draw(nn.Sequential(nn.Linear(3, 2), *dropouts), (3,), level="layers"))
    assert [lines[0] for lines, _ in boxes(root).values()] == ["x", "Linear", "Dropout", "Dropout"]
    assert len(arrows(root)) == 3


def test_a_weight_that_an_operation_shares_with_a_layer_has_an_arrow_to_both():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(5, 3)

        def forward(self, x):
            return self.table(x) @ self.table.weight.T

    root = check(cr.draw(Tied(), np.zeros((2, 4), "int64"), level="layers"))
    texts = {key: lines[0] for key, (lines, _) in boxes(root).items()}
    found = {(texts[a], texts[b]) for a, b, _ in arrows(root)}
    assert {("table.weight", "Embedding"), ("Embedding", "matmul")} <= found
    (product,) = (key for key, text in texts.items() if text == "matmul")
    assert reached(root)[product] == 2


def test_a_large_graph_is_folded():
    x = cr.placeholder((), name="x")
    y = x
    for _ in range(1000):
        y = cr.sin(y) * x
    drawing = cr.draw(y)
    assert drawing.notes == ("2,001 nodes, folded; open=[...] opens layers by path",)
    found = boxes(check(drawing))
    assert len(found) <= 100
    counted = [re.match(r"([\d,]+) operations", lines[0]) for lines, _ in found.values()]
    assert sum(int(c.group(1)) for c in counted if c) == 2000


def test_several_inputs_are_drawn_by_their_shapes():
    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(2, 3), nn.Linear(4, 3)

        def forward(self, u, v):
            return self.first(u) * self.second(v)

    model = Product()
    batches = np.ones((64, 2), "float32"), np.ones((64, 4), "float32")
    for level in ("operations", "layers"):
        assert (
            cr.draw(model, ((2,), (4,)), level=level).svg
            == cr.draw(model, batches, level=level).svg
        )
    for data in ((2,), batches[0]):
        with pytest.raises(
            TypeError, match=r"does not take 1 input: missing .*'v'; give the shape"
        ):
            cr.draw(model, data)
    with pytest.raises(ValueError, match="'second' takes something else"):
        cr.draw(model, ((2,), (4,)), level="neurons")


class Scaled(nn.Module):
    """Its second input is one number for each row."""

    def __init__(self):
        super().__init__()
        self.part = nn.Linear(3, 2)

    def forward(self, x, y):
        return self.part(x) * y.reshape(-1, 1)


def test_a_picture_takes_the_shapes_that_a_summary_takes():
    model = Scaled()
    batches = np.ones((64, 3), "float32"), np.ones(64, "float32")
    expected = cr.draw(model, batches).svg
    for shapes in (((3,), ()), ([3], []), ((np.int64(3),), ())):
        assert cr.summary(model, shapes).input_shape == ((64, 3), (64,))
        assert cr.draw(model, shapes).svg == expected
    norm = nn.BatchNorm1d(1, dtype="float64")
    assert cr.summary(norm, ((1,),)).input_shape == cr.summary(norm, [1]).input_shape == (64, 1)
    assert cr.draw(norm, ((1,),)).svg == cr.draw(norm, [1]).svg
    for read in (cr.summary, cr.draw):
        for wrong in ((0,), ((3,), (-1,))):
            with pytest.raises(cr.ShapeError, match="is the shape of one row, a tuple of positive"):
                read(model, wrong)


def test_numbers_are_data_of_a_captured_graph():
    place = cr.placeholder(())
    graph = cr.capture(lambda a, b: a * b, place, place)
    texts = [text for lines, _ in boxes(check(cr.draw(graph, (2, 3), values=True))).values()
             for text in lines]  # fmt: skip
    assert "6" in texts
