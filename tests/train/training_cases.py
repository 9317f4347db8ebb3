"""Small models and data for the tests of training, and the same training by PyTorch."""

from contextlib import contextmanager

import numpy as np

import chainrule as cr
from chainrule import nn, optim
from chainrule.data.batches import permutation


def classification(rows=37, features=4, classes=3, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, features)).astype(dtype)
    return x, np.argmax(x[:, :classes] + 0.3 * rng.standard_normal((rows, classes)), axis=1)


def regression(rows=37, features=4, targets=1, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, features)).astype(dtype)
    return x, (x @ rng.standard_normal((features, targets)) + 0.5).astype(dtype)


def network(features=4, hidden=5, outputs=3, dtype="float64", seed=3):
    """Two layers; the same seed gives the same weights."""
    with cr.use_generator(cr.Generator(seed)):
        return nn.Sequential(
            nn.Linear(features, hidden, dtype=dtype),
            nn.Tanh(),
            nn.Linear(hidden, outputs, dtype=dtype),
        )


def torch_network(ours):
    import torch

    linears = [
        torch.nn.Linear(m.in_features, m.out_features, dtype=torch.float64)
        for m in (ours[0], ours[2])
    ]
    theirs = torch.nn.Sequential(linears[0], torch.nn.Tanh(), linears[1])
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    return theirs


def compiled_step(
    model, loss_fn, optimizer, *, penalties=(), constraints=(), ema=None, clip_norm=None,
    clip_value=None, backend=None,
):  # fmt: skip
    """The loop's body with these parts, in the order in which a Trainer has them."""

    def clip():
        if clip_value is not None:
            for p in optimizer.params:
                p.grad = cr.minimum(cr.maximum(p.grad, -clip_value), clip_value)
        if clip_norm is not None:
            norm = cr.sqrt(sum((p.grad * p.grad).sum() for p in optimizer.params))
            for p in optimizer.params:
                p.grad = p.grad * cr.minimum(clip_norm / (norm + 1e-6), 1.0)

    @cr.compile(backend=backend)
    def step(x, y, **weights):
        optimizer.zero_grad()
        loss = loss_fn(model(x), y, **weights)
        sum([penalty() for penalty in penalties], loss).backward()
        clip()
        optimizer.step()
        for constraint in constraints:
            constraint.apply()
        if ema is not None:
            ema.update()
        return loss

    return step


class Noise(nn.Module):
    """Dropout, written by a user; in evaluation it passes its input on."""

    is_stochastic = True

    def __init__(self, p=0.3):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        return x * cr.bernoulli(1 - self.p, x.shape, x.dtype) / (1 - self.p)


class Counter(nn.Module):
    """A layer with a buffer that training changes: the mean of its inputs so far, unweighted."""

    def __init__(self, features, dtype="float64"):
        super().__init__()
        self.mean = cr.Buffer(np.zeros(features, dtype))

    def forward(self, x):
        if self.training:
            self.mean.assign(0.9 * self.mean + 0.1 * cr.stop_gradient(x).mean(axis=0))
        return x


def noisy_network(dtype="float64", seed=3):
    with cr.use_generator(cr.Generator(seed)):
        return nn.Sequential(
            nn.Linear(4, 5, dtype=dtype),
            Noise(),
            nn.Tanh(),
            Counter(5, dtype),
            nn.Linear(5, 3, dtype=dtype),
        )


def weighted_cross_entropy(output, target, *, sample_weight=None):
    losses = nn.CrossEntropyLoss(reduction="none")(output, target)
    return (losses if sample_weight is None else losses * sample_weight).mean()


class Average:
    """An exponential average of parameters, with a count of its updates."""

    def __init__(self, parameters, decay=0.8):
        self.parameters = list(parameters)
        self.decay = decay
        self.averages = [cr.Buffer(p.numpy().copy(), name="average") for p in self.parameters]
        self.count = cr.Buffer(np.float64(0), name="count")

    def update(self):
        for parameter, average in zip(self.parameters, self.averages, strict=True):
            average.assign(self.decay * average + (1 - self.decay) * parameter)
        self.count.assign(self.count + 1.0)

    def states(self):
        return {**{str(i): a for i, a in enumerate(self.averages)}, "count": self.count}

    @contextmanager
    def applied(self):
        before = [p.numpy().copy() for p in self.parameters]
        for parameter, average in zip(self.parameters, self.averages, strict=True):
            parameter.assign(average.numpy())
        try:
            yield
        finally:
            for parameter, value in zip(self.parameters, before, strict=True):
                parameter.assign(value)

    def state_dict(self):
        arrays = {name: buffer.numpy().copy() for name, buffer in self.states().items()}
        return {"decay": self.decay, **arrays}

    def load_state_dict(self, state_dict):
        self.decay = state_dict["decay"]
        for name, buffer in self.states().items():
            buffer.assign(state_dict[name])


class ShortRows:
    """Scales each row of a matrix to at most this norm."""

    def __init__(self, parameter, largest):
        self.parameter = parameter
        self.largest = largest

    def apply(self):
        w = self.parameter
        norms = cr.sqrt((w * w).sum(axis=1, keepdims=True))
        w.assign(w * cr.minimum(self.largest / norms, 1.0))


def trainer_of(model, loss=None, optimizer=None, **options):
    return cr.Trainer(
        model,
        loss or nn.CrossEntropyLoss(),
        optimizer or optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        **options,
    )


def fit(trainer, x, y, **options):
    return trainer.fit(x, y, **{"epochs": 2, "batch_size": 8, "progress": False, **options})


def trained(epochs=2, **options):
    x, y = classification(20)
    trainer = trainer_of(network(), **options)
    trainer.fit(x, y, epochs=epochs, batch_size=8, progress=False)
    return trainer


def everything(trainer):
    """All that a file could change in a Trainer."""
    return {
        **{f"model.{k}": v for k, v in weights(trainer.model).items()},
        **{
            f"optimizer.{k}": np.array(v)
            for k, v in trainer.optimizer.state_dict().items()
            if isinstance(v, np.ndarray)
        },
        "lr": np.array([group["lr"] for group in trainer.optimizer.param_groups]),
        "generator": trainer.graphs.generator.state.numpy().copy(),
        "counts": np.array(
            [trainer.epoch, trainer.step, trainer.state.position, len(trainer.history)]
        ),
        "schedule": np.array(trainer.schedule.t if trainer.schedule else -1),
    }


def epoch_batches(rows, batch_size, seed, epoch):
    """The rows of each batch of an epoch, as a shuffling fit takes them."""
    order = permutation(rows, seed, epoch)
    return [order[start : start + batch_size] for start in range(0, rows, batch_size)]


def weights(model):
    return {name: array.copy() for name, array in model.state_dict().items()}


def assert_same_bits(found, wanted):
    assert found.keys() == wanted.keys()
    for name in found:
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)


def assert_close(found, wanted, tolerance=1e-10):
    assert found.keys() == wanted.keys()
    for name in found:
        np.testing.assert_allclose(
            found[name], wanted[name], rtol=tolerance, atol=tolerance, err_msg=name
        )


class Scripted(cr.Metric):
    """A metric that is whatever a test says, once a training and once a validation pass."""

    name = "scripted"

    def __init__(self, values, higher_is_better=False):
        self.values = list(values)
        self.higher_is_better = higher_is_better

    def sums(self, output, target):
        return cr.tensor(0.0, dtype="float64")

    def result(self, sums, rows):
        return self.values.pop(0)
