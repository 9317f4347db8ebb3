"""explain against golden numbers, the native plan of training, and the states before it."""

import copy
import json

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.inspect import Explanation

random = np.random.default_rng(0)


def given_weights(*layers):
    """Linear layers in float64 of (weights, bias), each before a sigmoid."""
    parts = []
    for weight, bias in layers:
        linear = nn.Linear(len(weight[0]), len(weight), bias=bias is not None, dtype="float64")
        linear.weight.assign(np.array(weight))
        if bias is not None:
            linear.bias.assign(np.full(len(weight), bias))
        parts += [linear, nn.Sigmoid()]
    return nn.Sequential(*parts)


def mazur():
    return given_weights(([[0.15, 0.20], [0.25, 0.30]], 0.35), ([[0.40, 0.45], [0.50, 0.55]], 0.60))


def values(held):
    return np.array(held["values"])


def exact(held, expected):
    np.testing.assert_allclose(values(held), expected, rtol=1e-12, atol=0)


def test_mazur_in_three_lines():
    model = mazur()
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    step = cr.explain(model, [0.05, 0.10], [0.01, 0.99], nn.HalfSquaredErrorLoss(), optimizer)
    trace = step.trace()
    nodes, (hidden, output) = trace["nodes"], trace["layers"]
    assert (trace["title"], trace["rows"]) == ("Sequential, one step of SGD", 1)
    assert (trace["optimizer"], trace["loss_name"]) == ("SGD(lr=0.5)", "HalfSquaredErrorLoss")
    assert trace["loss"] == pytest.approx(0.2983711087600027, rel=1e-12)
    exact(nodes[hidden["preactivation"]]["value"], [[0.3775, 0.3925]])
    exact(nodes[hidden["output"]]["value"], [[0.5932699921071872, 0.596884378259767]])
    exact(nodes[output["preactivation"]]["value"], [[1.10590596705977, 1.2249214040964653]])
    exact(nodes[output["output"]]["value"], [[0.7513650695523157, 0.7729284653214625]])
    exact(output["delta"], [[0.13849856162855698, -0.03809823651655623]])
    exact(hidden["output_gradient"], [[0.03635030639314468, 0.0413703226487447]])
    exact(hidden["delta"], [[0.00877135468948693, 0.009954254705217196]])
    w1, b1, w2, b2 = hidden["parameters"] + output["parameters"]
    assert [p["path"] for p in (w1, b1, w2, b2)] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert [p["letter"] for p in (w1, b1, w2, b2)] == ["W1", "b1", "W2", "b2"]
    exact(w1["gradient"], [[0.0004385677344743465, 0.000877135468948693],
                           [0.0004977127352608599, 0.0009954254705217198]])  # fmt: skip
    exact(w2["gradient"], [[0.08216704056423077, 0.08266762784753325],
                           [-0.02260254047747507, -0.022740242215978222]])  # fmt: skip
    exact(w1["new"], [[0.1497807161327628, 0.19956143226552567],
                      [0.24975114363236958, 0.29950228726473915]])  # fmt: skip
    exact(w2["new"], [[0.35891647971788465, 0.4086661860762334],
                      [0.5113012702387375, 0.5613701211079891]])  # fmt: skip
    exact(b1["gradient"], values(hidden["delta"])[0])
    exact(b2["new"], 0.6 - 0.5 * values(output["delta"])[0])


def test_the_lectures_3_3_3_forward():
    model = given_weights(
        ([[0.9, 0.3, 0.4], [0.2, 0.8, 0.2], [0.1, 0.5, 0.6]], None),
        ([[0.3, 0.7, 0.5], [0.6, 0.5, 0.2], [0.8, 0.1, 0.9]], None),
    )
    trace = cr.explain(model, [0.9, 0.1, 0.8], [0.0, 0.0, 1.0], nn.MSELoss()).trace()
    hidden, output = trace["layers"]
    exact(trace["nodes"][hidden["preactivation"]]["value"], [[1.16, 0.42, 0.62]])
    printed = np.floor(100 * values(trace["nodes"][output["output"]]["value"])) / 100
    assert printed.tolist() == [[0.72, 0.70, 0.77]]
    assert trace["loss_after"] is None and trace["optimizer"] is None
    assert [p["new"] for p in hidden["parameters"]] == [None]


def test_the_numbers_of_pytorch():
    """A 2-3-2 of several rows, with momentum and weight decay; all that is between, too."""
    torch = pytest.importorskip("torch")
    W1, b1, W2, b2 = (random.normal(size=shape) for shape in ((3, 2), 3, (2, 3), 2))
    x, y = random.normal(size=(4, 2)), random.integers(0, 2, 4)
    model = nn.Sequential(
        nn.Linear(2, 3, dtype="float64"), nn.Tanh(), nn.Linear(3, 2, dtype="float64")
    )
    model.load_state_dict({"0.weight": W1, "0.bias": b1, "2.weight": W2, "2.bias": b2})
    options = {"lr": 0.3, "momentum": 0.9, "weight_decay": 0.01}
    optimizer = optim.SGD(model.parameters(), **options)
    trace = cr.explain(model, x, y, nn.CrossEntropyLoss(), optimizer).trace()

    leaves = [torch.tensor(v, requires_grad=True) for v in (W1, b1, W2, b2)]
    z1 = torch.tensor(x) @ leaves[0].T + leaves[1]
    a1 = torch.tanh(z1)
    z2 = a1 @ leaves[2].T + leaves[3]
    loss = torch.nn.functional.cross_entropy(z2, torch.tensor(y))
    for node in (z1, a1, z2):
        node.retain_grad()
    loss.backward()
    found = {node["name"]: node for node in trace["nodes"]}
    for name, node in (("z1", z1), ("a1", a1), ("z2", z2)):
        exact(found[name]["value"], node.detach().numpy())
        np.testing.assert_allclose(values(found[name]["gradient"]), node.grad, rtol=1e-9)
    parameters = [p for layer in trace["layers"] for p in layer["parameters"]]
    for parameter, leaf in zip(parameters, leaves, strict=True):
        np.testing.assert_allclose(values(parameter["gradient"]), leaf.grad, rtol=1e-9)
        old = leaf.detach()  # torch.optim takes two seconds to import; this is its first step
        new = old - options["lr"] * (leaf.grad + options["weight_decay"] * old)
        np.testing.assert_allclose(values(parameter["new"]), new, rtol=1e-9)
    assert trace["loss"] == pytest.approx(loss.item(), rel=1e-12)
    assert trace["optimizer"] == "SGD(lr=0.3, momentum=0.9, weight_decay=0.01)"
    assert found["z1"]["gradient_formula"]["text"] == (
        "delta1 = (W2^T delta2) * g'(z1) = (W2^T delta2) * (1 - a1^2)"
    )
    assert found["z2"]["gradient_formula"]["text"] == "delta2 = (softmax(z2) - onehot(y)) / 4"


@pytest.mark.parametrize(
    ("letters", "form", "formulas"),
    [
        ("boulder", None, ["z1 = W1 a0 + b1", "delta1 = (W2^T delta2) * g'(z1)",
                           "dL/dW1 = delta1 a0^T"]),
        ("cs3780", None, ["u1 = W1 z0 + b1", "delta1 = (W2^T delta2) * sigma'(u1)",
                          "dl/dW1 = delta1 z0^T"]),
        ("4al3", None, ["a1 = W1 h0 + b1", "g1 = (W2^T g2) * f'(a1)", "dL/dW1 = g1 h0^T"]),
        ("cornell", None, ["a1 = W1 z0 + b1", "delta1 = (W2^T delta2) * sigma'(a1)",
                           "dl/dW1 = delta1 z0^T"]),
        ("row", None, ["z1 = z0 w1 + b1", "delta1 = (delta2 w2^T) * sigma'(z1)",
                       "dL/dw1 = z0^T delta1"]),
        ("deep-learning", "row", ["a1 = h0 W1^T + b1", "g1 = (g2 W2) * f'(a1)",
                                  "dL/dW1 = g1^T h0"]),
    ],
)  # fmt: skip
def test_formulas_in_the_readers_letters(letters, form, formulas):
    trace = cr.explain(
        mazur(), [0.05, 0.10], [0.01, 0.99], nn.MSELoss(), letters=letters, form=form
    ).trace()
    nodes, layer = trace["nodes"], trace["layers"][0]
    z, w = nodes[layer["preactivation"]], nodes[layer["parameters"][0]["id"]]
    found = [z["formula"], z["gradient_formula"], w["gradient_formula"]]
    assert [" = ".join(formula["text"].split(" = ")[:2]) for formula in found] == formulas
    assert trace["letters"] == letters
    assert trace["form"] == ("row" if letters == "row" else form or "column")


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.inner, self.last = (nn.Linear(4, n, dtype="float64") for n in (4, 4, 1))

    def forward(self, x):
        h = cr.tanh(self.first(x))
        for _ in range(2):  # the same weights twice
            h = h + cr.relu(self.inner(h))
        return self.last(h)


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 8, dtype="float64")
        self.block = nn.TransformerEncoderLayer(
            8, 2, 16, dropout=0.1, batch_first=True, dtype="float64"
        )
        self.head = nn.Linear(8, 7, dtype="float64")
        self.head.weight = self.embedding.weight

    def forward(self, x):
        return self.head(self.block(self.embedding(x)).mean(1))


class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = cr.Parameter([1.5, 0.5], dtype="float64")
        self.layer = nn.Linear(2, 2, dtype="float64").requires_grad_(False)

    def forward(self, x):
        self.seen = self.layer(x * self.scale)
        return self.seen


def convolutional():
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, dtype="float64"), nn.BatchNorm2d(3, dtype="float64"), nn.ReLU(),
        nn.MaxPool2d(2), nn.Conv2d(3, 2, 2, dtype="float64"), nn.Tanh(), nn.Flatten(),
        nn.Dropout(0.5), nn.Linear(2, 3, dtype="float64"),
    )  # fmt: skip


def dense():
    return nn.Sequential(
        nn.Linear(4, 5, dtype="float64"), nn.LayerNorm(5, dtype="float64"), nn.GELU(),
        nn.Dropout(0.3), nn.Linear(5, 2, dtype="float64"), nn.Softmax(-1),
    )  # fmt: skip


CASES = {
    "residual": (Residual, random.normal(size=(3, 4)), random.normal(size=3), nn.MSELoss, "SGD"),
    "convolution": (
        convolutional, random.normal(size=(4, 1, 6, 6)), random.integers(0, 3, 4),
        nn.CrossEntropyLoss, "SGD",
    ),
    "one image": (
        lambda: nn.Sequential(nn.Conv1d(2, 3, 2, dtype="float64"), nn.ReLU(), nn.Flatten(),
                              nn.Linear(12, 3, dtype="float64")),
        random.normal(size=(1, 2, 5)), np.array([2]), nn.CrossEntropyLoss, "SGD",
    ),
    "transformer": (
        Transformer, random.integers(0, 7, (2, 5)), np.array([1, 4]), nn.CrossEntropyLoss, "SGD",
    ),
    "normalised": (
        dense, random.normal(size=(3, 4)), random.random((3, 2)), nn.BCELoss, "Adam",
    ),
    "frozen": (Frozen, random.normal(size=(2, 2)), random.normal(size=(2, 2)), nn.MSELoss, "SGD"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_every_number_is_that_of_training_and_nothing_changes(case):
    make, x, y, loss, rule = CASES[case]
    model = make()
    optimizer = getattr(optim, rule)(model.parameters(), lr=0.1)
    twin = copy.deepcopy(model)
    before = model.state_dict()
    states = {name: b.numpy().copy() for name, b in optimizer.states().items()}
    counter, attributes = cr.default_generator.state.tolist(), dict(vars(model))
    step = cr.explain(model, x, y, loss(), optimizer)
    text = step.to_json()
    assert cr.explain(model, x, y, loss(), optimizer).to_json() == text
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    for name, buffer in optimizer.states().items():
        np.testing.assert_array_equal(buffer.numpy(), states[name])
    assert all(p.grad is None for p in model.parameters()) and model.training
    assert cr.default_generator.state.tolist() == counter and dict(vars(model)) == attributes

    trainer = cr.Trainer(twin, loss(), getattr(optim, rule)(twin.parameters(), lr=0.1), seed=0)
    history = trainer.fit(x, y, epochs=1, batch_size=len(x), shuffle=False, progress=False)
    trace = step.trace()
    assert trace["loss"] == pytest.approx(history["loss"][0], rel=1e-12)
    trained = dict(twin.named_parameters())
    explained = {p["path"]: p for layer in trace["layers"] for p in layer["parameters"]}
    assert explained.keys() == trained.keys()
    for path, parameter in explained.items():
        if parameter["new"] is None:
            assert not trained[path].requires_grad and parameter["gradient"] is None
        else:
            np.testing.assert_allclose(
                values(parameter["new"]), trained[path].numpy(), rtol=1e-9, atol=1e-12
            )
    gradients = compiled_gradients(make(), before, x, y, loss())
    for path, gradient in gradients.items():
        if explained[path]["gradient"] is not None:
            np.testing.assert_allclose(
                values(explained[path]["gradient"]), gradient, rtol=1e-9, atol=1e-12
            )
    check_parts(trace)


def compiled_gradients(model, state, x, y, loss):
    """The gradients by a native plan of the same weights and random numbers."""
    model.load_state_dict(state)
    parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}

    @cr.compile
    def gradients(x, y):
        output = model(x)
        value = loss(
            output, y.reshape(output.shape) if y.ndim == 1 and output.shape[-1:] == (1,) else y
        )
        return cr.grad(value, list(parameters.values()))

    cr.manual_seed(0)
    found = gradients(cr.tensor(x), cr.tensor(y))
    return {name: grad.numpy() for name, grad in zip(parameters, found, strict=True)}


def check_parts(trace):
    """Each gradient is the sum of its parts, and delta that of a times g'(z)."""
    nodes = trace["nodes"]
    assert trace["backward"][0] == nodes[-1]["id"] == len(nodes) - 1
    for place in trace["backward"][1:]:
        node = nodes[place]
        parts = [values(part["value"]) for part in node["contributions"]]
        np.testing.assert_allclose(sum(parts), values(node["gradient"]), rtol=1e-9, atol=1e-13)
        for part in node["contributions"]:
            assert nodes[part["consumer"]]["inputs"][part["index"]] == place
    for layer in trace["layers"]:
        if layer["derivative"] is not None:
            product = values(layer["output_gradient"]) * values(layer["derivative"])
            np.testing.assert_allclose(values(layer["delta"]), product, rtol=1e-9, atol=1e-13)


def test_arrays_are_whole_up_to_256_elements_and_numbers_are_json():
    model = nn.Sequential(nn.Linear(16, 17), nn.ReLU(), nn.Linear(17, 1))
    trace = cr.explain(model, np.arange(16.0), [1e30], nn.MSELoss()).trace()
    weight = next(node for node in trace["nodes"] if node["name"] == "0.weight")["value"]
    W = model[0].weight.numpy()
    assert weight["values"] is None and weight["corner"] == W[:4, :4].tolist()
    assert weight["summary"]["norm"] == pytest.approx(np.linalg.norm(W), rel=1e-6)
    assert weight["summary"]["maximum"] == W.max() and weight["shape"] == [17, 16]
    assert trace["loss"] == "Infinity"
    json.loads(json.dumps(trace, allow_nan=False))


class Branches(nn.Module):
    """Takes two inputs; what it does depends on values, and it counts its calls."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.calls = nn.Linear(3, 2), nn.Linear(2, 2), 0

    def forward(self, u, v):
        self.calls += 1
        a = self.a(u)
        return a * self.b(v) if a.sum().item() < 1e9 else a


def test_what_is_one_row_and_what_several():
    def rows(model, x, y, loss=None):
        trace = cr.explain(model, x, y, loss or nn.MSELoss()).trace()
        return trace["rows"], [n["value"]["shape"] for n in trace["nodes"] if n["role"] == "input"]

    assert rows(nn.Linear(2, 1), [1, 2], 3) == (1, [[1, 2]])
    assert rows(nn.Linear(2, 1), [1, 2], [3]) == (1, [[1, 2]])
    assert rows(nn.Linear(2, 1), [[1, 2], [3, 4]], [1.0, 2.0]) == (2, [[2, 2]])
    assert rows(nn.Linear(2, 2), (0.5, 1.0), (0.0, 1.0)) == (1, [[1, 2]])
    image = nn.Sequential(nn.Conv2d(1, 1, 2), nn.Flatten(), nn.Linear(4, 2))
    assert rows(image, np.ones((1, 3, 3)), 1, nn.CrossEntropyLoss()) == (1, [[1, 1, 3, 3]])
    words = nn.Sequential(nn.Embedding(5, 2), nn.Flatten(), nn.Linear(6, 2))
    assert rows(words, [1, 4, 1], 0, nn.CrossEntropyLoss()) == (1, [[1, 3]])
    flat = nn.Sequential(nn.Flatten(), nn.Linear(18, 5))
    with pytest.raises(ValueError, match="the numbers of rows"):
        rows(flat, np.ones((6, 3)), np.ones(5))
    model = Branches()
    two = (np.ones((4, 3)), np.ones((4, 2)))
    assert rows(model, two, np.ones((4, 2))) == (4, [[4, 3], [4, 2]])
    assert model.calls == 0


def test_a_trace_goes_to_a_file_and_back(tmp_path):
    step = cr.explain(mazur(), [0.05, 0.10], [0.01, 0.99], nn.MSELoss())
    step.to_json(tmp_path / "step.json")
    again = Explanation.from_json(tmp_path / "step.json")
    assert again.to_json() == step.to_json() == Explanation.from_json(step.to_json()).to_json()


def scalar(number):
    summary = dict.fromkeys(("minimum", "maximum", "mean", "norm"), number)
    return {"shape": [], "dtype": "float64", "values": number, "summary": summary, "corner": None}


def with_contributions(held):
    """A change of a trace: of all contributions; without anything, no local derivatives."""

    def change(trace):
        for part in (part for node in trace["nodes"] for part in node["contributions"]):
            part.update(held)
            if not held:
                part.pop("derivative")

    return change


def changed(change):
    trace = cr.explain(mazur(), [0.05, 0.10], [0.01, 0.99], nn.MSELoss()).trace()
    change(trace)
    return json.dumps(trace)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.update(format="other"), "its format is 'other'"),
        (lambda t: t.update(version=2), "version 2; this chainrule reads 1"),
        (lambda t: t.pop("nodes"), "the trace lacks 'nodes'"),
        (lambda t: t["nodes"][3].update(inputs=[7]), "node 3 names 7"),
        (lambda t: t["nodes"][3].update(inputs=[True]), "node 3 names True"),
        (lambda t: t["nodes"][2]["value"].update(values=[1.0]), r"have not the shape \[2, 2\]"),
        (lambda t: t["layers"][0].update(output="a"), "layer 0: 'output' is 'a'"),
        (lambda t: t["layers"][1]["parameters"][0].update(old=None), "layer 1: parameter: 'old'"),
        (lambda t: t.update(letters="greek"), "letters is 'boulder'"),
        (lambda t: t.update(form="q"), "form is 'column' or 'row', got 'q'"),
        (lambda t: t.update(rows=0), "no rows"),
        (lambda t: t.update(loss="much"), "'loss' is 'much', which is no number"),
        (lambda t: t["layers"][0].update(sizes=["a"]), "layer 0: its sizes"),
        (lambda t: t["layers"][0].update(sizes=[2, 3]), "layer 0: its sizes"),
        (lambda t: t["layers"][0].update(derivative=scalar(1.0)), r"derivative has the shape \[\]"),
        (lambda t: t["nodes"][1]["value"].update(summary={}), "node 1: value: 'minimum' of its"),
        (lambda t: t["nodes"][1]["value"].pop("summary"), "value lacks 'values', 'summary' or"),
        (lambda t: t["nodes"][1]["value"].pop("corner"), "value lacks 'values', 'summary' or"),
        (lambda t: t["nodes"][1]["value"].update(values=None), "node 1: value has no values"),
        (lambda t: t.update(rows=True), "'rows' is True, which it can't be"),
        (lambda t: t["nodes"][1]["value"].update(dtype="word"), "are not of the dtype 'word'"),
        (lambda t: t["nodes"][1]["value"].update(dtype="f4, f4"), "are not of the dtype 'f4, f4'"),
        (lambda t: t["nodes"][1].update(gradient=scalar(1.0)), "node 1: gradient has the shape"),
        (lambda t: t["nodes"][1].update(attributes={"a": [float("nan")]}), "NaN without quotes"),
        (lambda t: t["layers"][0].update(more=float("inf")), "a number too large for float64"),
        (lambda t: t.update(loss=10**400), "a number too large for float64"),
        (lambda t: t["layers"][0].update(input=None), "layer 0 has sizes, but no input"),
        (lambda t: t["layers"].reverse(), "layer 0 has sizes, but no input, or another's pre-"),
        *(
            (with_contributions({"derivative": found}), "'derivative' of a contribution is")
            for found in ("much", [1.0], {}, True)
        ),
        (with_contributions({"consumer": 0}), "a consumer that contributes has no gradient"),
        (
            lambda t: t["nodes"][t["backward"][-1]].update(gradient_formula=None),
            "no formula of its",
        ),
        (
            lambda t: t["nodes"][t["backward"][-1]]["gradient_formula"].update(text="d%99"),
            "names a gradient that is not there",
        ),
    ],
)
def test_a_foreign_trace_is_refused(change, said, tmp_path):
    text = changed(change)
    with pytest.raises(ValueError, match=said):
        Explanation.from_json(text)
    (tmp_path / "step.json").write_text(text)
    with pytest.raises(cr.FileError, match=said):
        Explanation.from_json(tmp_path / "step.json")


@pytest.mark.parametrize("held", [{}, {"derivative": None}, {"derivative": "NaN"}])
def test_a_trace_without_local_derivatives_as_older_ones_are_is_walked(held):
    again = Explanation.from_json(changed(with_contributions(held)))
    parts = [part for visit in cr.walk(again) for part in visit.parts]
    assert parts
    assert all((part.derivative is None) == ("NaN" not in held.values()) for part in parts)


@pytest.mark.parametrize(
    ("source", "error"), [('{"a":', ValueError), ("[]", ValueError), (None, TypeError)]
)
def test_what_is_no_json_is_refused(source, error):
    with pytest.raises(error, match=r"no trace|a path or JSON text"):
        Explanation.from_json(source)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"x": None}, TypeError, "x is None: explain takes the inputs x and the targets y"),
        ({"loss": nn.MSELoss(reduction="none")}, cr.ShapeError, "must be a scalar Tensor"),
        ({"loss": nn.MSELoss}, TypeError, "give an object of it"),
        ({"x": [1.0, 2.0, 3.0]}, cr.ShapeError, "0 .Linear."),
        ({"x": [[1.0, 2.0]] * 3}, ValueError, "the numbers of rows"),
        ({"letters": "greek"}, ValueError, "letters is 'boulder'"),
        ({"letters": "row", "form": "column"}, ValueError, "take other letters"),
        ({"form": "diagonal"}, ValueError, "'column' or 'row'"),
        ({"loss": lambda output, y: (y * y).sum()}, ValueError, "nothing to explain"),
        ({"model": "model"}, TypeError, "model is a Module"),
        ({"optimizer": optim.SGD}, TypeError, "the optimizer is an object"),
        ({"optimizer": "sgd"}, TypeError, "the optimizer is an object"),
        ({"seed": "a"}, TypeError, "seed"),
    ],
)
def test_bad_input_is_refused(change, error, said):
    given = {"model": mazur(), "x": [0.05, 0.10], "y": [0.01, 0.99], "loss": nn.MSELoss()}
    with pytest.raises(error, match=said):
        cr.explain(**(given | change))


WEIGHTED = {
    "cross-entropy": (lambda: nn.CrossEntropyLoss(weight=[1.0, 2.0, 0.5]), [0, 2]),
    "nll": (lambda: nn.NLLLoss(weight=[1.0, 2.0, 0.5]), [0, 2]),
    "margin": (lambda: nn.MultiMarginLoss(weight=[1.0, 2.0, 0.5]), [0, 2]),
    "bce weight": (lambda: nn.BCEWithLogitsLoss(weight=[1.0, 2.0, 0.5]), np.eye(3)[:2]),
    "bce pos_weight": (lambda: nn.BCEWithLogitsLoss(pos_weight=[1.0, 2.0, 0.5]), np.eye(3)[:2]),
    "smoothed": (lambda: nn.CrossEntropyLoss(label_smoothing=0.1), [0, 2]),
}


@pytest.mark.parametrize("name", WEIGHTED)
def test_losses_with_options_are_explained(name):
    """Their formulas are those of no well-known loss; the numbers are there."""
    make, target = WEIGHTED[name]
    loss, model = make(), nn.Sequential(nn.Linear(2, 3))
    x, y = np.float32([[1, 2], [3, 4]]), np.asarray(target)
    found = cr.explain(model, x, y, loss)
    assert found.trace()["loss"] == pytest.approx(float(loss(model(cr.tensor(x)), y)))
    assert type(loss).__name__ in str(found)
