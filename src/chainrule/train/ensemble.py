"""Ensemble: several networks trained at once, whose predictions are averaged."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import checks
from chainrule.errors import FileError
from chainrule.graph.keywords import referring
from chainrule.nn import Average, AverageClasses, AverageLabels
from chainrule.ops.random import Generator, use_generator
from chainrule.system.side_by_side import side_by_side
from chainrule.train import model_file
from chainrule.train.evaluator import Evaluator
from chainrule.train.given_data import holds_batches
from chainrule.train.history import History
from chainrule.train.keras_arguments import OF_FIT
from chainrule.train.metrics.outputs import probabilities_of
from chainrule.train.network_copy import network_of
from chainrule.train.own_parts import OwnParts
from chainrule.train.progress import epoch_line
from chainrule.train.trainer import Trainer

_KINDS: dict[str | None, type[Average]] = {
    "class logits": AverageClasses,
    "class log-probabilities": AverageClasses,
    "logits": AverageLabels,
}
"""By what the outputs of a model are: how those of several are averaged."""

_TINY = 1e-300
"""The least probability of which a logarithm is taken."""


class Ensemble:
    """Several networks trained at once, whose predictions are averaged.

    Each member is trained by a `Trainer` of its own, in a thread of its own: as many at a time as
    there are CPUs, each with its share of them. So members may differ in all, also in their shapes;
    each gets the bits that it would get alone, and members that are built alike share their plans.

    Args:
        make_trainer: seed -> a new Trainer, with a new model; called with seed, seed + 1, ... The
            starting values that it draws follow from that seed. Give it to the Trainer, too, for
            the order of the rows and dropout.
        members: how many.
        seed: the first one.

    Attributes:
        trainers: the Trainer of each member.

    Raises:
        TypeError, ValueError: if `make_trainer` returns anything else, or Trainers that share a
            model, parameters, an optimizer, a schedule or a callback.

    Source: Lakshminarayanan, Pritzel, Blundell, "Simple and scalable predictive uncertainty
    estimation using deep ensembles", NeurIPS 2017.

    Example:
        >>> import chainrule as cr
        >>> import numpy as np
        >>> from chainrule import nn, optim
        >>> def make_trainer(seed):
        ...     model = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
        ...     optimizer = optim.Adam(model.parameters(), lr=0.01)
        ...     return cr.Trainer(model, nn.MSELoss(), optimizer, seed=seed)
        >>> x = np.linspace(-1, 1, 64, dtype="float32").reshape(-1, 1)
        >>> ensemble = cr.Ensemble(make_trainer, members=4)
        >>> _ = ensemble.fit(x, x**2, epochs=40, batch_size=16, progress=False)
        >>> ensemble.predict([[0.5]]).round(1)
        array([[0.3]], dtype=float32)
        >>> near, far = ensemble.disagreement([[0.5], [3.0]])
        >>> bool(far > 10 * near)
        True
    """

    def __init__(
        self, make_trainer: Callable[[int], Trainer], members: int = 5, *, seed: int = 0
    ) -> None:
        checks.function("make_trainer", make_trainer, "seed -> a new Trainer")
        members = checks.count("members", members)
        self.seed = checks.seed(seed)
        self.trainers: list[Trainer] = []
        own = OwnParts("make_trainer")
        for number in range(members):
            with use_generator(Generator(self.seed + number)):
                trainer = make_trainer(self.seed + number)
            if not isinstance(trainer, Trainer):
                raise TypeError(f"make_trainer returns a Trainer, got {checks.described(trainer)}")
            own.add(trainer)
            self.trainers.append(trainer)

    @referring(**OF_FIT)
    def fit(
        self,
        x: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        epochs: int = 10,
        batch_size: int | None = None,
        validation_data: Any = None,
        validation_fraction: float = 0.0,
        shuffle: bool | None = None,
        progress: bool = True,
    ) -> list[History]:
        """Train all members on the same rows.

        Ctrl-C ends all trainings, each after its batch. Members whose training has not begun are
        left out of the ensemble then.

        Args:
            x, y, sample_weight, epochs, batch_size, shuffle: as in `Trainer.fit`; x and y are
                arrays or frames.
            validation_data: as in `Trainer.fit`, for all members.
            validation_fraction: the share of rows that each member holds out for that instead,
                other ones where the seeds of their Trainers differ.
            progress: print a line for each member that is done.

        Returns:
            The history of each member.

        Raises:
            ValueError, ShapeError, NonFiniteError: as `Trainer.fit`, with the number of the member;
                the others then stop, too.
            TypeError: for an iterable of batches, through which several can't go at once.
            KeyboardInterrupt: if Ctrl-C came before a training has begun.
        """
        if holds_batches(x, y):
            raise TypeError("an ensemble is trained on arrays, not on an iterable of batches")
        trainers = self.trainers

        def train(number: int) -> History:
            history = trainers[number].fit(
                x, y, sample_weight=sample_weight, epochs=epochs, batch_size=batch_size,
                validation_data=validation_data, validation_fraction=validation_fraction,
                shuffle=shuffle, progress=False,
            )  # fmt: skip
            if progress and len(history):
                print(f"member {number}: {epoch_line(history.epochs[-1], len(history))}")
            return history

        def stop(reason: str) -> None:
            for trainer in trainers:
                trainer.stop(reason)

        histories = side_by_side(train, len(trainers), stop)
        self.trainers = [trainers[number] for number in histories]
        return list(histories.values())

    def predict(self, x: Any, *, batch_size: int | None = None) -> NDArray[Any]:
        """The mean of the members' predictions: of their probabilities, or of their outputs.

        Args:
            x, batch_size: as in `Trainer.predict`.
        """
        return np.asarray(self.predict_members(x, batch_size=batch_size).mean(axis=0))

    def predict_members(self, x: Any, *, batch_size: int | None = None) -> NDArray[Any]:
        """What each member predicts, shape (members, rows, ...).

        With a loss of classes or labels that is an object, as `nn.CrossEntropyLoss()`, these are
        probabilities, also where the outputs are logits; else, and with a function as the loss,
        they are the outputs.

        Raises:
            TypeError: for models of several outputs; else as `Trainer.predict`.
        """
        found = [trainer.predict(x, batch_size=batch_size) for trainer in self.trainers]
        if not isinstance(found[0], np.ndarray):
            raise TypeError("an ensemble predicts by models that have one output array")
        stacked = np.stack(found)  # axis 0 is of the members
        return probabilities_of(stacked, self._outputs, axis=2 if stacked.ndim > 2 else 1)

    def disagreement(self, x: Any, *, batch_size: int | None = None) -> NDArray[Any]:
        """How much the members differ about each row.

        With a loss of classes or labels: the mutual information of prediction and member, H(mean_k
        p_k) - mean_k H(p_k) in nats, shape (rows,) or (rows, labels), with further axes where the
        outputs have them; it is 0 where all members say the same, be they sure or not. Else the
        standard deviation of the outputs.

        Source: Houlsby, Huszár, Ghahramani, Lengyel, "Bayesian active learning for classification
        and preference learning", 2011.
        """
        found = self.predict_members(x, batch_size=batch_size)
        outputs = str(self._outputs)
        if outputs.startswith("class ") and outputs != "class scores":
            return _mutual_information(found)
        if outputs in ("logits", "probabilities"):
            return _mutual_information(np.stack([found, 1 - found], axis=2))
        return np.asarray(found.std(axis=0))

    def evaluate(
        self, x: Any, y: Any, *, sample_weight: Any = None, batch_size: int | None = None
    ) -> dict[str, float]:
        """The loss and the metrics of the mean prediction; as `Trainer.evaluate`."""
        first = self.trainers[0]
        evaluator = Evaluator(self.model, first.graphs.loss, first.metrics)
        return evaluator.evaluate(x, y, sample_weight=sample_weight, batch_size=batch_size)

    @property
    def model(self) -> Average:
        """One module that predicts as the ensemble does, a copy of what the members are now.

        It is a `nn.AverageClasses` or `nn.AverageLabels`, whose outputs are logits, where those of
        the members are; else a `nn.Average`. `chainrule serve` takes its file.
        """
        model = _KINDS.get(self._outputs, Average)(*map(network_of, self.trainers))
        model._column_names = self.trainers[0].model._column_names
        return model.eval()

    def _to_predictions(self) -> Average:
        return self.model

    @property
    def _outputs(self) -> str | None:
        return getattr(self.trainers[0].graphs.loss, "outputs", None)

    def save(self, path: str | os.PathLike[str], metadata: Mapping[str, Any] | None = None) -> None:
        """Save the weights of all members in one safetensors file: that of `model`.

        `chainrule.load` makes the module of it where it consists of the library's layers; `load`
        fills an ensemble.

        Raises:
            As `chainrule.save`.
        """
        model_file.save(self.model, path, metadata or self.trainers[0].metadata)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Load what `save` wrote into an ensemble that is made alike, and has not been trained.

        Where the file has fewer members, because of Ctrl-C, the ensemble has them, too, then.

        Raises:
            FileError: if the file is truncated, damaged or foreign.
            RuntimeError: if the weights do not fit, or the ensemble was trained.
        """
        if any(trainer.step for trainer in self.trainers):
            raise RuntimeError("this ensemble was trained: load into a new one")
        description = model_file.read(path)[1].get("model")
        children = description.get("children") if isinstance(description, dict) else None
        count = len(children) if isinstance(children, dict) else 0
        if not 0 < count <= len(self.trainers):
            raise FileError(f"{path} has {count} members, the ensemble {len(self.trainers)}")
        kept, self.trainers = self.trainers, self.trainers[:count]
        try:
            loaded = model_file.load(path, self.model)
        except BaseException:
            self.trainers = kept
            raise
        for trainer, member in zip(self.trainers, loaded.children(), strict=True):
            trainer.model.load_state_dict(member.state_dict())
            trainer.model._column_names = loaded._column_names

    def __len__(self) -> int:
        return len(self.trainers)

    def __repr__(self) -> str:
        return f"<Ensemble of {len(self)} networks>"


def _entropy(p: NDArray[Any]) -> NDArray[Any]:
    """-sum p log p along axis 1, of shape (rows, classes, ...), in nats, in float64."""
    p = p.astype(np.float64)
    return np.asarray(-(p * np.log(np.maximum(p, _TINY))).sum(axis=1))


def _mutual_information(found: NDArray[Any]) -> NDArray[Any]:
    """H(mean_k p_k) - mean_k H(p_k) of probabilities of shape (members, rows, classes, ...)."""
    return np.asarray(_entropy(found.mean(axis=0)) - np.mean([*map(_entropy, found)], axis=0))
