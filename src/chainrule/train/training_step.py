"""Steps of a model as graphs: training, evaluation and prediction."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import numpy as np

from chainrule.compiler.capture import CapturedGraph, capture
from chainrule.data.arrays import Form
from chainrule.graph.backprop import backprop, with_ancestors
from chainrule.graph.context import no_grad
from chainrule.graph.grad_table import gradients_of_states
from chainrule.graph.state import Parameter, State
from chainrule.graph.tensor import Array, Tensor, placeholder
from chainrule.nn import Module
from chainrule.nn.inputs import call_model, floating_dtype
from chainrule.nn.registration import not_registered, unregistered
from chainrule.nn.utils.clipping import clipped_by_norm, clipped_by_value
from chainrule.ops.norms import total_norm
from chainrule.ops.random import Generator, use_generator
from chainrule.optim import Optimizer
from chainrule.system.interrupts import interrupts_held
from chainrule.train.batch_loss import (
    BatchLoss,
    batch_loss,
    check_compared,
    fitted_targets,
    mean_of_sums,
)
from chainrule.train.copies import check_copies
from chainrule.train.metrics import ArrayMetric, Metric
from chainrule.train.roles import check_outputs, check_roles, loss_of_outputs, scalar
from chainrule.train.shared_graphs import SharedGraphs
from chainrule.train.state import AccumulatedGradients, Totals
from chainrule.train.step_options import StepOptions
from chainrule.train.versions import Version
from chainrule.trees import leaves

Loss = Callable[..., Tensor]
"""(outputs, targets) -> a scalar Tensor; with the keyword `sample_weight`, if rows are weighted."""

Kind: TypeAlias = Literal["training", "accumulation", "evaluation", "prediction", "sampling"]
"""The kinds of steps: "training" ends in an update, "accumulation" only adds up gradients,
"sampling" is a prediction in which the stochastic layers are in training mode."""


class StepGraphs:
    """Captures the graphs of a model's steps.

    Args:
        model: maps a batch of inputs to outputs; a tuple of inputs is passed as positional
            arguments, a dict by name.
        loss: (outputs, targets) -> a scalar Tensor.
        optimizer: holds the parameters that a training step updates; None where nothing is trained.
        metrics: summed beside the loss, or computed of all outputs of an evaluation.
        options: the other parts of a training step; None where nothing is trained.
        accumulated: where gradients are summed up, if several batches make one update.
        generator: the generator of random numbers that the model draws from.

    Raises:
        TypeError: for a model that is no Module, a loss that is no function, or an optimizer that
            is none.
        ValueError: for an optimizer that has none of the model's parameters.

    Attributes:
        sampling: the generator that stochastic layers draw from in a "sampling" step.
        dtype: the floating dtype of the model.
    """

    def __init__(
        self,
        model: Module,
        loss: Loss,
        optimizer: Optimizer | None = None,
        *,
        metrics: Sequence[Metric | ArrayMetric] = (),
        options: StepOptions | None = None,
        accumulated: AccumulatedGradients | None = None,
        generator: Generator | None = None,
    ) -> None:
        check_roles(model, loss, optimizer, trained=options is not None)
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.metrics = [m for m in metrics if isinstance(m, Metric)]
        self.array_metrics = [m for m in metrics if isinstance(m, ArrayMetric)]
        self.options = options or StepOptions()
        self.accumulated = accumulated or AccumulatedGradients()
        if optimizer is not None and not set(optimizer.params) & {*self._parameters()}:
            raise ValueError(
                "the optimizer has none of the model's parameters: make it with "
                "model.parameters(), after the model"
            )
        self.generator = generator or Generator()
        self.sampling = Generator()
        self.dtype = floating_dtype(model)
        prediction = Version([model], gradients=False)
        evaluation = Version([loss, metrics], gradients=False, beyond=prediction)
        training = Version([optimizer, self.options], beyond=evaluation)
        self._versions: dict[Kind, Version] = {
            "training": training,
            "accumulation": training,
            "evaluation": evaluation,
            "prediction": prediction,
            "sampling": prediction,
        }
        self._shared: dict[Version, SharedGraphs] = {}
        if self.accumulates:
            self.accumulated.match(self._trained().params)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle takes.

        Raises:
            TypeError: for a function that uses a parameter of the original.
        """
        check_copies("the loss", self.loss)
        check_copies("the augmentation", self.options.augmentation)
        for penalty in self.options.penalties:
            check_copies("a penalty", penalty)
        for metric in self.metrics:
            check_copies("a metric", getattr(metric, "function", None))
        return {**vars(self), "_shared": {}}

    def _parameters(self) -> Iterator[Parameter]:
        """The parameters of the model, and of a loss that has some."""
        yield from self.model.parameters()
        if isinstance(self.loss, Module):
            yield from self.loss.parameters()

    @property
    def sums_rows(self) -> bool:
        """Whether the loss of a batch is a sum over its rows, not their mean."""
        return getattr(self.loss, "reduction", "mean") == "sum"

    @property
    def accumulates(self) -> bool:
        """Whether the gradients of several batches make one update."""
        return self.options.accumulate != 1

    def key(self, kind: Kind, form: Form, rows: int) -> Any:
        """The signature of a step: equal ones have the same graph."""
        return kind, form, rows, self._versions[kind].number()

    def capture(self, kind: Kind, form: Form, rows: int) -> CapturedGraph:
        """The graph of a step on a batch of `rows` rows; its inputs are the arrays of the batch.

        It gives (loss, sums of the loss if its mean has a denominator of its own, of the metrics
        and, in training, of the penalties where there are any), or in a prediction the outputs of
        the model.
        """
        steps: dict[Kind, Callable[..., Any]] = {
            "training": functools.partial(self._training, update=True),
            "accumulation": functools.partial(self._training, update=False),
            "evaluation": self._evaluation,
            "prediction": self._prediction,
            "sampling": self._prediction,
        }
        if kind in ("training", "accumulation"):
            optimizer = self._trained()
            optimizer.part({parameter for parameter in optimizer.params if parameter.requires_grad})
        step, shared = (kind, form, rows), self._shared_graphs(kind)
        if shared is not None and (graph := shared.find(step)) is not None:
            return graph
        batch = [
            placeholder((rows, *shape), dtype)
            for shape, dtype in zip(form.shapes, form.dtypes, strict=True)
        ]
        self._check_registered()
        with (
            interrupts_held() as interrupts,
            self._versions[kind].unchanged() as leftovers,
            self._in_mode(kind),
            use_generator(self.sampling if kind == "sampling" else self.generator),
            interrupts.let_through(),
        ):
            graph = leftovers.captured(
                lambda: capture(lambda *arrays: steps[kind](*form.unflatten(arrays)), *batch)
            )
        if shared is not None:
            shared.keep(step, graph)
        return graph

    def _shared_graphs(self, kind: Kind) -> SharedGraphs | None:
        """The graphs that equal models share; None where there is no telling whether they are."""
        version = self._versions[kind]
        facts = version.shared_facts()
        shared = self._shared.pop(version, None)  # which holds the objects of its facts
        if facts is None:
            return None
        # A capture makes the buffers of accumulated gradients, of which no facts tell.
        if shared is None or shared.facts is not facts or self.accumulates:
            shared = SharedGraphs(facts, self._used_states(kind))
        self._shared[version] = shared
        return shared

    def _used_states(self, kind: Kind) -> list[State]:
        """The states that a step may use, besides those that its facts tell of."""
        found: list[State] = [self.generator.state, self.sampling.state]
        if kind in ("training", "accumulation"):
            found += [self.accumulated.rows, *self.states()]
            for group in self._trained().param_groups:
                found += group.scalars.values()
        return found

    def _check_registered(self) -> None:
        """Raise ValueError where the model has parts that it does not know of."""
        trained = self.optimizer.params if self.optimizer is not None else ()
        for holder in (self.model, self.loss):
            for path, _ in unregistered(holder, trained) if isinstance(holder, Module) else ():
                what = "it would be neither trained nor saved, nor put into eval()"
                raise ValueError(not_registered(holder, path, what))

    def _check_reached(self, loss: Tensor) -> None:
        """Raise ValueError where a gradient of the loss leads to a Parameter that nobody knows."""
        known = {*self._trained().params, *self._parameters()}
        nodes = with_ancestors([loss], lambda node: [i for i in node.inputs if i.requires_grad])
        for node in sorted(nodes, key=operator.attrgetter("serial")):
            if isinstance(node.state, Parameter) and node.requires_grad and node.state not in known:
                name = f"{node.state.name or 'without a name'}, of shape {node.shape}"
                raise ValueError(
                    f"the loss depends on a Parameter ({name}) that is neither the model's nor the "
                    "loss's nor the optimizer's: it would be neither trained nor saved. Make it, "
                    "or the module that holds it, an attribute of the model (in a list: "
                    "nn.ModuleList); if it is not to be trained, call requires_grad_(False) on its "
                    "module, or compute with it under no_grad()"
                )

    @contextmanager
    def _in_mode(self, kind: Kind) -> Iterator[None]:
        """Within it the model's layers are in the mode of this kind of step."""
        with self.model.in_mode(kind in ("training", "accumulation")):
            if kind == "sampling":
                for module in self.model.modules():
                    module.training = module.is_stochastic
            yield

    # Steps, on Tensors

    def _training(
        self, x: Any, y: Any, weight: Tensor | None = None, *, update: bool
    ) -> tuple[Tensor, list[Tensor]]:
        inputs, targets = self.options.augmented(x, y)
        output = check_outputs(self.model, call_model(self.model, inputs))
        y, given = fitted_targets(self.loss, output, y), y
        compared = y if targets is given else fitted_targets(self.loss, output, targets)
        found = self._scalar_loss(output, compared, weight)
        loss = found.value
        check_compared("the loss", loss, output, targets, compared)
        self._check_reached(loss)
        penalty = self._penalty()
        grads = self._grads(loss)
        penalty_grads = self._grads(penalty)
        if all(grad is None for grad in (*grads, *penalty_grads)):
            raise ValueError(
                "the loss depends on no parameter of the optimizer that requires a gradient: "
                "there is nothing to train"
            )
        with no_grad():
            sums, rows = [*found.sums, *self._sums(output, y, given)], next(leaves(x)).shape[0]
            if penalty is not None:
                sums.append(penalty.astype(np.float64) * float(rows))
            if self.accumulates:
                self.accumulated.match(self._trained().params)
                grads = self.accumulated.add(
                    grads, self._accumulated_weight(found, rows), mean=not self.sums_rows,
                    last=update,
                )  # fmt: skip
            if update:
                self._update(
                    list(map(_sum, grads, penalty_grads)),
                    # Accumulated gradients are not of this batch's loss alone.
                    None if self.accumulates else _sum(loss, penalty),
                )
        return loss, sums

    def _evaluation(
        self, x: Any, y: Any, weight: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        with no_grad():
            output = check_outputs(self.model, call_model(self.model, x))
            y, given = fitted_targets(self.loss, output, y), y
            loss, sums, _ = self._scalar_loss(output, y, weight)
            check_compared("the loss", loss, output, given, y)
            return loss, [*sums, *self._sums(output, y, given)]

    def _prediction(self, x: Any) -> Any:
        with no_grad():
            return check_outputs(self.model, call_model(self.model, x))

    def _scalar_loss(self, output: Any, y: Any, weight: Tensor | None) -> BatchLoss:
        weights = {}
        if weight is not None:
            check_takes_weights(self.loss)
            weights["sample_weight"] = weight

        compute = functools.partial(loss_of_outputs, self.loss, output, y, weights)
        return batch_loss(compute, next(leaves(y)).shape[0])

    def _accumulated_weight(self, loss: BatchLoss, rows: int) -> float | Tensor:
        """What the gradients of a batch count for among those of one update."""
        if loss.sums and loss.weight is None:
            raise ValueError(
                "accumulate: the loss is a sum of terms whose means have different denominators, "
                "as with ignore_index or class weights, so the mean over several batches has no "
                "one gradient to add up. Give larger batches, or losses with reduction='sum'"
            )
        return self.loss_weight(rows) if loss.weight is None else loss.weight

    def _sums(self, output: Any, y: Any, given: Any) -> list[Tensor]:
        sums = [metric.sums(output, y) for metric in self.metrics]
        for metric, found in zip(self.metrics, sums, strict=True):
            check_compared(f"metric {metric.name}", found, output, given, y)
        return sums

    def _penalty(self) -> Tensor | None:
        """The sum of all penalties; None if there are none."""
        penalties = self.options.penalties
        terms = [scalar(f"penalty {p!r}", p(), "return a sum") for p in penalties]
        return functools.reduce(operator.add, terms) if terms else None

    def _trained(self) -> Optimizer:
        assert self.optimizer is not None, "an Evaluator trains nothing"
        return self.optimizer

    def _grads(self, z: Tensor | None) -> list[Tensor | None]:
        """The gradient of z for each parameter; None where z does not depend on it."""
        parameters = self._trained().params
        if z is None:
            return [None] * len(parameters)
        grads = gradients_of_states(backprop(z, [p for p in parameters if p.requires_grad]))
        return [grads.get(p) for p in parameters]

    def _update(self, grads: list[Tensor | None], objective: Tensor | None) -> None:
        self._trained().update(self._clip(grads), objective)
        for constraint in self.options.constraints:
            constraint.apply()
        if self.options.ema is not None:
            self.options.ema.update()

    def _clip(self, grads: list[Tensor | None]) -> list[Tensor | None]:
        found = [grad for grad in grads if grad is not None]
        if self.options.clip_value is not None:
            found = clipped_by_value(found, self.options.clip_value)
        if self.options.clip_norm is not None:
            found = clipped_by_norm(found, self.options.clip_norm, total_norm(found))
        clipped = iter(found)
        return [None if grad is None else next(clipped) for grad in grads]

    # States that steps read and update, and sums over batches

    def states(self) -> list[State]:
        """The states that steps read or write, grouped by kind: parameters, first moments, ...

        In this order one fused program can update each kind. The states of random generators, which
        other models may draw from, are not among them.
        """
        moments: dict[str, list[State]] = {}
        optimizer, ema = self.optimizer, self.options.ema
        for name, buffer in ({} if optimizer is None else optimizer.states()).items():
            moments.setdefault(name.partition(".")[2], []).append(buffer)
        return [
            *(optimizer.params if optimizer is not None else self.model.parameters()),
            *(buffer for alike in moments.values() for buffer in alike),
            *self.accumulated.buffers,
            *(ema.states().values() if ema is not None else ()),
            *self.model.buffers(),
        ]

    def states_outside_model(self) -> dict[str, State]:
        """The states that training changes outside the model, by number: of the loss, say."""
        buffers = self.loss.buffers() if isinstance(self.loss, Module) else ()
        of_model = {*self.model.parameters(), *self.model.buffers()}
        found = [s for s in (*self._trained().params, *buffers) if s not in of_model]
        return {str(number): state for number, state in enumerate(found)}

    def loss_weight(self, rows: int) -> float:
        """The weight of a batch's loss in the mean over all rows."""
        return 1.0 if self.sums_rows else float(rows)

    def mean_loss(self, totals: Totals, *, training: bool) -> float:
        """The loss over all rows of a pass; NaN where no row counts."""
        if self.sums_rows:
            return totals.loss
        sums = self._loss_sums(totals, training)
        if not sums:
            return totals.loss / totals.rows
        by_rows, weighted = mean_of_sums(sums)
        return by_rows / totals.rows + weighted

    def counts(self, totals: Totals, *, training: bool) -> bool:
        """Whether the loss of a pass counts any row."""
        sums = self._loss_sums(totals, training)
        return not sums or any(weight > 0 for weight in sums[2::2])

    def _loss_sums(self, totals: Totals, training: bool) -> list[Array]:
        """The sums of the loss, if its mean has a denominator of its own."""
        others = self.training_sums() if training else self.metrics
        return totals.metrics[: len(totals.metrics) - len(others)]

    def results(self, totals: Totals, *, training: bool = False) -> dict[str, float]:
        """The loss and the metrics of a pass, in training with the penalty."""
        results = {"loss": self.mean_loss(totals, training=training)}
        sums = totals.metrics[len(self._loss_sums(totals, training)) :]
        if training and self.options.penalties:
            results["penalty"] = float(sums.pop()) / totals.rows
        for metric, total in zip(self.metrics, sums, strict=True):
            results[metric.name] = float(metric.result(total, totals.rows))
        return results

    def training_sums(self) -> list[str]:
        """The names of what is summed up over an epoch besides the loss."""
        return [m.name for m in self.metrics] + ["penalty"] * bool(self.options.penalties)


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """a + b, where what is missing counts as 0."""
    if a is None or b is None:
        return b if a is None else a
    return a + b


def check_takes_weights(loss: Loss) -> None:
    """Raise TypeError unless a loss has the keyword `sample_weight`."""
    function = loss.forward if isinstance(loss, Module) else loss
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # written in C: the call will tell
        return
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if "sample_weight" not in parameters and not takes_any:
        name = getattr(loss, "__name__", type(loss).__name__)
        raise TypeError(
            f"the loss {name} can't weight rows: it has no argument sample_weight. Define it as "
            f"{name}(outputs, targets, *, sample_weight=None), the mean over all rows of each "
            "row's weight times its loss, or leave sample_weight out."
        )
