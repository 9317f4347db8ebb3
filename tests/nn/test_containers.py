"""ModuleList, ModuleDict, ParameterList, ParameterDict and a Sequential as a list, as PyTorch's."""

import copy
import pickle

import numpy as np
import pytest
from nn_parity import torch

import chainrule as cr
from chainrule import nn, optim


def linears(nn, *widths):
    return [nn.Linear(width, width) for width in widths]


def grow(nn):
    """What a list of modules is after much that can be done to a list."""
    layers = nn.ModuleList(linears(nn, 1, 2, 3))
    layers.append(nn.ReLU())
    layers.extend([nn.Tanh(), nn.Sequential(nn.Linear(7, 7))])
    layers += [nn.ReLU()]
    layers.insert(1, nn.Linear(9, 9))
    layers[0] = nn.Linear(5, 5, bias=False)
    layers[-1] = nn.Linear(6, 6)
    del layers[2]
    del layers[4:6]
    layers.pop(1)
    return layers + nn.ModuleList(linears(nn, 4, 4, 4))


def grow_sequential(nn):
    model = nn.Sequential(*linears(nn, 1, 2, 3))
    model.append(nn.ReLU())
    model.extend([nn.Tanh(), nn.Linear(2, 2)])
    model.insert(1, nn.Linear(9, 9))
    model[0] = nn.Linear(5, 5)
    del model[2]
    model.pop(1)
    return model + nn.Sequential(nn.ReLU())


@pytest.mark.parametrize("make", [grow, grow_sequential])
def test_a_list_of_modules_is_pytorchs(make):
    ours, theirs = make(nn), make(torch.nn)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_modules()] == [n for n, _ in theirs.named_modules()]
    assert len(ours) == len(theirs)
    assert [type(m).__name__ for m in ours] == [type(m).__name__ for m in theirs]
    assert repr(ours[1:]) == repr(theirs[1:]) or make is grow_sequential
    assert len(ours[1:3]) == len(theirs[1:3]) and ours[1:3][0] is ours[1]
    for index in (99, -99):
        with pytest.raises(IndexError, match="99"):
            ours[index]


def test_a_dict_of_modules_is_pytorchs():
    def make(nn):
        heads = nn.ModuleDict({"b": nn.Linear(1, 1), "a": nn.ReLU()})
        heads["c"] = nn.Tanh()
        heads.update([("d", nn.Linear(2, 2)), ("a", nn.Linear(3, 3))])
        heads.update(nn.ModuleDict({"e": nn.ReLU()}))
        del heads["c"]
        heads.pop("d")
        return heads

    ours, theirs = make(nn), make(torch.nn)
    assert repr(ours) == repr(theirs)
    assert list(ours) == list(theirs) == list(ours.keys())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [key for key, _ in ours.items()] == [key for key, _ in theirs.items()]
    assert len(list(ours.values())) == 3 and "a" in ours and "z" not in ours
    with pytest.raises(KeyError):
        ours["z"]
    with pytest.raises(KeyError):
        del ours["z"]
    with pytest.raises(KeyError, match="attribute 'train'"):
        ours["train"] = nn.ReLU()
    ours.clear()
    assert not len(ours) and not ours.state_dict()


def test_lists_and_dicts_of_parameters():
    ours = nn.ParameterList([nn.Parameter([1.0]), cr.tensor([2.0, 3.0])])
    ours.append(nn.Parameter([[4.0]])).extend([nn.Parameter([5.0])])
    ours[0] = nn.Parameter([9.0])
    theirs = torch.nn.ParameterList([torch.tensor([9.0]), torch.tensor([2.0, 3.0])])
    theirs.append(torch.nn.Parameter(torch.tensor([[4.0]]))).extend([torch.tensor([5.0])])
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [p.tolist() for p in ours] == [p.tolist() for p in theirs]
    assert len(ours[1:]) == 3
    named = nn.ParameterDict({"w": nn.Parameter([1.0])})
    named["v"] = cr.tensor([2.0])
    assert list(named.state_dict()) == ["w", "v"] and named.get("u") is None
    assert "(w): Parameter containing: [float32 of size 1]" in repr(named)


def test_the_methods_of_a_dict_of_parameters_are_pytorchs():
    def run(module, tensor):
        d = module.ParameterDict({"a": tensor([1.0]), "b": tensor([2.0])})
        copied, joined = d.copy(), d | module.ParameterDict({"c": tensor([3.0])})
        found = [list(reversed(d)), list(copied), list(joined), copied["a"] is d["a"]]
        found += [d.setdefault("a", tensor([9.0])).tolist(), d.setdefault("d", tensor([4.0]))[0]]
        key, value = d.popitem()
        d |= module.ParameterDict({"b": tensor([5.0])})
        made = d.fromkeys(["x", "y"], tensor([7.0]))
        found += [key, value.tolist(), d["b"].tolist(), {k: v.tolist() for k, v in made.items()}]
        return [x.item() if hasattr(x, "item") else x for x in found]

    assert run(nn, cr.tensor) == run(torch.nn, torch.tensor)
    d = nn.ParameterDict({"b": cr.tensor([2.0]), "a": cr.tensor([1.0])})
    joined = {"a": nn.Parameter([5.0]), "c": cr.tensor([3.0])} | d
    assert isinstance(joined, nn.ParameterDict)
    assert {name: w.tolist() for name, w in joined.items()} == {"a": [1.0], "c": [3.0], "b": [2.0]}
    with pytest.raises(KeyError, match="empty"):
        nn.ParameterDict().popitem()
    with pytest.raises(TypeError, match="holds Parameters, got None"):
        nn.ParameterDict().setdefault("a")


def test_none_stands_in_the_place_of_a_module_as_in_pytorch():
    def make(module):
        class Net(module.Module):
            def __init__(self):
                super().__init__()
                self.layers = module.ModuleList([module.Linear(3, 3), None])
                self.layers.append(None)
                self.layers.insert(1, module.Linear(3, 2))
                self.layers.extend([module.Tanh(), module.Tanh()])
                self.layers[-1] = None
                self.heads = module.ModuleDict({"a": None, "b": module.Linear(2, 1)})

            def forward(self, x):
                for layer in self.layers:
                    x = x if layer is None else layer(x)
                for head in self.heads.values():
                    x = x if head is None else head(x)
                return x

        return Net()

    ours, theirs = make(nn), make(torch.nn)
    assert repr(ours) == repr(theirs)
    assert [n for n, _ in ours.named_modules()] == [n for n, _ in theirs.named_modules()]
    ours.load_state_dict({name: w.numpy() for name, w in theirs.state_dict().items()})
    assert len(ours.layers) == 6 and ours.layers[2] is None and ours.heads["a"] is None
    ours.layers[2] = nn.Identity()
    assert [n for n, _ in ours.layers.named_children()] == ["0", "1", "2", "4"]
    x, y = np.ones((4, 3), np.float32), np.ones((4, 1), np.float32)
    np.testing.assert_allclose(ours(x), theirs(torch.tensor(x)).detach(), rtol=1e-6)
    for held in (ours.layers, ours.heads):
        assert repr(pickle.loads(pickle.dumps(held))) == repr(copy.deepcopy(held)) == repr(held)
    before = ours.layers[0].weight.numpy()
    cr.Trainer(ours, nn.MSELoss(), optim.SGD(ours.parameters(), 0.1)).fit(x, y, progress=False)
    assert not np.array_equal(ours.layers[0].weight.numpy(), before)
    assert "None" not in str(cr.summary(ours, (3,)))
    for lacks in (lambda: nn.Sequential().append(None), lambda: nn.Average().append(None)):
        with pytest.raises(TypeError, match="None"):
            lacks()


def test_a_sequential_is_multiplied_as_pytorchs(tmp_path):
    ours = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    theirs = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
    for twice, other in ((ours * 2, theirs * 2), (2 * ours, 2 * theirs)):
        assert repr(twice) == repr(other)
        assert list(twice.state_dict()) == list(other.state_dict())
        assert twice[0] is twice[2] is ours[0] and len(ours) == 2
    x = cr.tensor(np.ones((1, 2), np.float32))
    assert (ours * 2)(x).tolist() == ours(ours(x)).tolist()
    cr.save(ours * 2, tmp_path / "twice.safetensors")
    assert cr.load(tmp_path / "twice.safetensors")(x).tolist() == ours(ours(x)).tolist()
    same = ours
    ours *= 3
    assert ours is same and len(ours) == 6 and ours[4] is ours[0]
    for wrong in (0, -1, 1.5, "2"):
        with pytest.raises((TypeError, ValueError), match="the number of times is"):
            ours * wrong


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (nn.ModuleList, [nn.Parameter([1.0])]),
        (nn.ModuleList, [nn.Linear]),
        (nn.ModuleList, nn.Linear),
        (nn.ModuleDict, {"a": 3}),
        (nn.ParameterList, [nn.ReLU()]),
        (nn.ParameterDict, {"a": "text"}),
    ],
)
def test_other_things_are_refused(make, wrong):
    with pytest.raises(TypeError, match=make.__name__):
        make(wrong)


def test_a_refused_change_changes_nothing():
    layers = nn.ModuleList([nn.ReLU()])
    for change in (
        lambda: layers.extend([nn.Tanh(), 3]),
        lambda: layers.insert(0, nn.Parameter([1.0])),
        lambda: layers.append(nn.Tanh),
        lambda: layers.__setitem__(0, 1),
    ):
        with pytest.raises(TypeError):
            change()
        assert repr(layers) == repr(nn.ModuleList([nn.ReLU()]))
    by_key = nn.ModuleDict({"a": nn.ReLU()})
    for key, error in (("train", KeyError), ("a.b", ValueError), (3, ValueError)):
        with pytest.raises(error):
            by_key.update({"b": nn.Tanh(), key: nn.Tanh()})
        assert list(by_key) == ["a"]


class Net(nn.Module):
    def __init__(self, depth=3):
        super().__init__()
        self.layers = nn.ModuleList()
        for _ in range(depth):
            self.layers.append(nn.Linear(4, 4))
        self.heads = nn.ModuleDict({"one": nn.Linear(4, 1)})
        self.scales = nn.ParameterList([nn.Parameter([1.0])])

    def forward(self, x):
        for layer in self.layers:
            x = layer(x).tanh()
        return self.heads["one"](x) * self.scales[0]


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_model_with_lists_is_trained_and_saved_whole(backend):
    model = Net()
    before = model.state_dict()
    assert sum(array.size for array in before.values()) == 3 * 20 + 5 + 1
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), 0.1), backend=backend)
    x = np.random.default_rng(0).standard_normal((8, 4)).astype("f")
    trainer.fit(x, np.ones((8, 1), "f"), epochs=1, batch_size=4)
    after = model.state_dict()
    assert all(not np.array_equal(before[name], after[name]) for name in before)
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(copied(x).numpy(), model(x).numpy())
        assert repr(copied) == repr(model)


def test_paths_of_layers_in_lists():
    model = Net()
    graph = cr.capture(model, np.zeros((2, 4), "f"))
    assert {node.path for node in graph.nodes if node.operation} >= {"layers.0", "heads.one"}
    nested = nn.Module()
    nested.blocks = nn.ModuleList([nn.ModuleList([nn.Linear(2, 2)])])
    with pytest.raises(cr.ShapeError, match=r"blocks\.0\.0 \(Linear\)"):
        nested.blocks[0][0](np.zeros((1, 3), "f"))


def test_slices_of_a_sequential_with_its_own_constructor():
    class Mlp(nn.Sequential):
        def __init__(self, inputs, outputs):
            super().__init__(nn.Linear(inputs, 5), nn.ReLU(), nn.Linear(5, outputs))

    model = Mlp(3, 2)
    assert type(model[:2]) is nn.Sequential
    assert model[:2][0] is model[0]
    assert list(model[1:].state_dict()) == ["2.weight", "2.bias"]  # as without a constructor
    assert model(np.ones((1, 3), "f")).shape == (1, 2)

    class Named(nn.Sequential):
        pass

    assert type(Named(nn.ReLU(), nn.Tanh())[1:]) is Named


class Nested(nn.Module):
    """Lists in a list, and a Sequential: modules that are called by their numbers."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.ModuleList([nn.Linear(3, 3)]) for _ in range(2)])
        self.body = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))

    def forward(self, x):
        for block in self.blocks:
            for layer in block:
                x = layer(x)
        return self.body(x)


@pytest.mark.parametrize("change", ["insert", "delete", "pop"])
@pytest.mark.parametrize("where", ["blocks", "body"])
def test_errors_name_the_place_where_a_layer_stands_now(change, where):
    model = Nested()
    parts = model.get_submodule(where)
    if change == "insert":
        parts.insert(0, nn.ModuleList([nn.Linear(3, 3)]) if where == "blocks" else nn.Linear(3, 3))
    elif change == "delete":
        del parts[0]
    else:
        parts.pop(0)
    layers = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    for name in layers:
        layer = model.get_submodule(name)
        layer.in_features = 5
        with pytest.raises(cr.ShapeError, match=rf"^{name} \(Linear\)"):
            model(np.ones((2, 3), "float32"))
        layer.in_features = 3


def test_a_class_in_place_of_a_module_is_named_with_the_remedy():
    with pytest.raises(TypeError, match=r"Modules, got <class .*ReLU.*give an object of it, ReLU"):
        nn.ModuleList([nn.ReLU])


@pytest.mark.parametrize(
    ("held", "remedy"),
    [
        (nn.ModuleList([nn.ReLU()]), "one by one; nn.Sequential calls its modules in turn"),
        (nn.ModuleDict({"a": nn.ReLU()}), "the forward of a model uses one by one"),
        (nn.ParameterList([cr.ones(2)]), "the forward of a model uses one by one"),
        (nn.ParameterDict({"a": cr.ones(2)}), "the forward of a model uses one by one"),
    ],
)
def test_what_only_holds_parts_says_who_calls_them(held, remedy):
    for model in (held, nn.Sequential(nn.ReLU(), held)):
        with pytest.raises(NotImplementedError, match=f"has no forward method: .*{remedy}"):
            model(cr.ones(2))
    with pytest.raises(NotImplementedError, match=r"define forward\(self, x\)"):
        nn.Module()(cr.ones(2))
