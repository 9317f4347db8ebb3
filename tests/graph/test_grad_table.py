"""GradTable: its keys, its table, and what it refuses."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.graph import GradTable


def network():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1))
    x = cr.tensor([[0.5, -1.0]], name="x", requires_grad=True)
    z = model(x)
    z.name = "z"
    return model, x, z, cr.backprop((z * z).sum())


def test_a_parameter_a_name_and_a_variable_are_keys():
    model, x, z, table = network()
    assert isinstance(table, GradTable) and isinstance(table, dict)
    for path, parameter in model.named_parameters():
        expected = cr.grad((model(x) ** 2).sum(), parameter).numpy()
        for key in (path, parameter, parameter.node()):
            assert key in table
            np.testing.assert_allclose(table[key].numpy(), expected, rtol=1e-6)
            assert table.get(key) is table[path]
    assert table["z"] is table[z] and table["x"] is table[x]


def test_a_parameter_that_the_graph_reads_several_times_has_the_sum():
    w = cr.Parameter([2.0], name="w")
    before = w * w
    w.assign(w)  # a new leaf stands for it from here on
    z = (before + 3.0 * w).sum()
    assert cr.backprop(z)[w].tolist() == [7.0] == cr.backprop(z)["w"].tolist()


def test_a_gradient_is_taken_out_by_any_key():
    w = cr.Parameter(2.0, name="w")
    x = cr.tensor(3.0, requires_grad=True, name="x")
    table = cr.backprop(w * x)
    assert table.pop(w).item() == 3.0
    assert w not in table
    assert table.pop("w", None) is None
    del table["x"]
    assert len(table) == 1
    with pytest.raises(KeyError, match="no gradient of 'x'"):
        table.pop("x")
    with pytest.raises(KeyError, match="no gradient of 'x'"):
        del table["x"]


def test_what_has_no_gradient_is_named_with_what_there_is():
    _, _, _, table = network()
    other = nn.Linear(1, 1)
    for key, said in [("1.weight", "no gradient of '1.weight'"), (other.weight, "Parameter")]:
        assert key not in table and table.get(key, 5) == 5
        with pytest.raises(KeyError, match=f"{said}.*there are z, 2.bias, 2.weight, 0.bias"):
            table[key]
    with pytest.raises(KeyError, match="none has a name"):
        cr.backprop(cr.tensor(2.0, requires_grad=True) * 2.0)["x"]


def test_it_prints_as_a_table():
    model, _, _, table = network()
    for layer in (model[0], model[2]):
        layer.weight.assign(np.full(layer.weight.shape, 0.5, "float32"))
        layer.bias.assign(np.zeros(layer.bias.shape, "float32"))
    x = cr.tensor([[0.5, -1.0]], name="x", requires_grad=True)
    table = cr.backprop(model(x).sum())
    assert str(table) == repr(table)
    rows = [line.split() for line in str(table).splitlines()]
    assert rows[0] == ["name", "operation", "value", "gradient"] and set(rows[1][0]) == {"─"}
    assert ["2.weight", "0.437823", "0.437823"] in [
        [r[0], r[-2], r[-1]] for r in rows if len(r) > 2
    ]
    assert rows[-1] == ["x", "0.5", "-1.0", "0.123067", "0.123067"]
    root = ET.fromstring(table._repr_html_())
    assert len(root.findall("tbody/tr")) == len(table)
    assert "0.weight" in {cell.text for cell in root.iter("td")}
    symbolic = cr.placeholder((3,)) * cr.tensor(2.0, requires_grad=True, name="t")
    assert "symbolic, scalar" in str(cr.backprop(symbolic.sum(), [symbolic.inputs[1].inputs[0]]))


@pytest.mark.parametrize("shape", [(3, 0), (0,), (0, 2)])
def test_empty_arrays_have_their_shape(shape):
    x = cr.tensor(np.zeros(shape), requires_grad=True, name="x")
    row = str(cr.backprop((x * 2.0).sum())).splitlines()[-1]
    assert row.count(f"{' x '.join(map(str, shape))}, empty") == 2


def test_get_prints_no_tensor(monkeypatch):
    _, _, _, table = network()
    # Of a large one that is slow.
    monkeypatch.setattr(cr.Tensor, "__repr__", lambda tensor: pytest.fail("printed"))
    assert table.get(cr.tensor([1.0])) is None


def test_a_name_of_several_variables_is_refused():
    first, second = (cr.tensor(v, requires_grad=True, name="w") for v in (2.0, 3.0))
    table = cr.backprop(first * second)
    assert "w" in table and table[first].item() == 3.0
    with pytest.raises(KeyError, match="2 variables are named 'w': give the Tensor"):
        table["w"]
    with pytest.raises(KeyError, match="2 variables are named"):
        table.get("w")
    one, other = nn.Sequential(nn.Linear(1, 1)), nn.Sequential(nn.Linear(1, 1))
    with pytest.raises(KeyError, match="2 variables are named '0"):
        cr.backprop((one(cr.ones((1, 1))) * other(cr.ones((1, 1)))).sum())["0.weight"]


@pytest.mark.parametrize(
    ("z", "targets", "said"),
    [
        (None, None, "only Tensors can be differentiated, not NoneType"),
        (True, ["x"], "a target is a Tensor or a Parameter, not 'x'"),
        (True, "itself", r"targets are several Tensors: write \[x\]"),
    ],
)
def test_what_is_no_tensor_is_refused(z, targets, said):
    x = cr.tensor(2.0, requires_grad=True)
    with pytest.raises(TypeError, match=said):
        cr.backprop(z and x * x, x if targets == "itself" else targets)
