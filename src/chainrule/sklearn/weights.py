"""The network of an estimator, with the weights that its attributes hold now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.sklearn.network import Network
from chainrule.sklearn.outputs import predicting_backend


def network_of(estimator: Any) -> Network:
    """The network, with the weights of `coefs_` and `intercepts_`.

    A program may have set these, and `classes_` of a classifier, where nothing was fitted; or those
    of a network with the same inputs and outputs, as one with fewer neurons.

    Raises:
        ValueError: for weights that do not fit each other.
    """
    coefs, intercepts = estimator.coefs_, estimator.intercepts_
    network: Network | None = vars(estimator).get("_network")
    if network is None:
        return _made(estimator, coefs, intercepts)
    try:
        network.assign(coefs, intercepts)
    except ValueError:
        ends = network.layers[0].in_features, network.layers[-1].out_features
        if not _fit_each_other(coefs, intercepts) or (len(coefs[0]), len(intercepts[-1])) != ends:
            raise
        return _made(estimator, coefs, intercepts)
    return network


def _fit_each_other(coefs: Sequence[Any], intercepts: Sequence[Any]) -> bool:
    """Whether weights and biases are those of a network."""
    shapes = [np.shape(coef) for coef in coefs]
    if not shapes or any(len(shape) != 2 for shape in shapes):
        return False
    outputs = [shape[1] for shape in shapes]
    is_chain = outputs[:-1] == [shape[0] for shape in shapes[1:]]
    return is_chain and [np.shape(each) for each in intercepts] == [(n,) for n in outputs]


def _made(estimator: Any, coefs: Sequence[Any], intercepts: Sequence[Any]) -> Network:
    """A network of these weights, for an estimator that gets what predictions need."""
    if not _fit_each_other(coefs, intercepts):
        raise ValueError(
            "coefs_ holds an array of shape (in, out) for each layer, intercepts_ one of shape "
            f"(out,), where in is the out of the layer before; got {[*map(np.shape, coefs)]} and "
            f"{[*map(np.shape, intercepts)]}"
        )
    coefs = [np.asarray(coef) for coef in coefs]
    widths = [len(coefs[0]), *(coef.shape[1] for coef in coefs)]
    estimator._note_labels()
    begin = {
        "out_activation_": estimator._out_activation(),
        "n_outputs_": widths[-1],
        "n_iter_": 0,
        "t_": 0,
        "_kept_epoch": 0,
        **({} if estimator.allow_nan else {"n_features_in_": widths[0]}),
    }
    vars(estimator).update({**begin, **vars(estimator)})
    estimator.n_layers_ = len(widths)
    estimator._best = estimator.best_validation_score_ = None  # of the network before
    estimator._note_loss()
    is_narrow = all(coef.dtype == np.float32 for coef in coefs)
    network: Network = estimator._new_network(widths, np.float32 if is_narrow else np.float64)
    network.assign(coefs, intercepts)
    estimator._backend = predicting_backend(network.model, estimator._objective(network))
    estimator._network = network
    return network
