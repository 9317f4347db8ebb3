"""Attributes of a module that are computed when they are read, and those that it has not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chainrule.graph.tensor import Tensor

_TRAINER = "cr.Trainer(model, loss, optimizer)"
_OF_MODELS = {
    "summary": "cr.summary(model, (784,)), with the shape of a row",
    "layers": "model.children(), or model.modules() with inner ones; list(model) of a Sequential",
    "weights": "model.parameters(), or nn.select_parameters(model, 'weights')",
    "trainable_variables": "model.parameters()",
    "get_weights": "model.state_dict()",
    "set_weights": "model.load_state_dict(...)",
    "trainable_weights": "model.parameters()",
    "count_params": "sum(p.size for p in model.parameters())",
    "add": "append(module) of an nn.Sequential",
    "train_on_batch": "cr.compile of a function of a batch, with backward() and step() in it",
    "predict_on_batch": "model(x)",
    "save_weights": "cr.save(model, path)",
    "load_weights": "cr.load(path, model)",
    "compile": f"{_TRAINER}, which takes them when it is made",
    "fit": f"{_TRAINER}.fit(x, y)",
    "predict": f"{_TRAINER}.predict(x), or model(x)",
    "evaluate": f"{_TRAINER}.evaluate(x, y)",
    "save": "cr.save(model, path)",
    "device": "'cpu', the one device",
    "register_backward_hook": "register_full_backward_hook(hook)",
    "_flat_weights_names": "the names of named_parameters()",
    "_get_name": "type(model).__name__",
    "_reset_parameters": "reset_parameters()",
    "share_memory": "nothing: threads share memory",
    "type": "dtype= where its layers are made, as nn.Linear(2, 3, dtype='float64')",
}
"""Names of other libraries' models, with what is written for them."""


class Computed:
    """The base of a module: its computed attributes, such as a weight that is normalised."""

    _computed: dict[str, Callable[[Any], Tensor]]

    if not TYPE_CHECKING:  # a type checker would take any attribute for one that there is

        def __getattr__(self, name: str) -> Any:
            rule = vars(self).get("_computed", {}).get(name)
            if "_computed" not in vars(self):
                kind = type(self).__name__
                raise AttributeError(f"{kind}: call super().__init__() before reading {name}")
            if rule is None:
                message = f"{type(self).__name__!r} object has no attribute {name!r}"
                if name in _OF_MODELS:
                    message += f"; here it is {_OF_MODELS[name]}"
                raise AttributeError(message)
            return rule(self)

    def _compute(self, name: str, rule: Callable[[Any], Tensor]) -> None:
        """Let `rule` give the attribute `name` whenever it is read."""
        self._computed = {**self._computed, name: rule}
