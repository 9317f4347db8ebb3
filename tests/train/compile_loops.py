"""Loops of training and other functions, to call as they are and compiled."""

import numpy as np
from training_cases import classification, weights

import chainrule as cr
from chainrule import nn, optim

X, Y = classification(24)
cross_entropy = nn.CrossEntropyLoss()


def network(seed=0, *extra):
    with cr.use_generator(cr.Generator(seed)):
        return nn.Sequential(
            nn.Linear(4, 5, dtype="float64"), nn.Tanh(), *extra, nn.Linear(5, 3, dtype="float64")
        )


def numbers(found):
    """Tensors as arrays, for comparing."""
    if isinstance(found, cr.Tensor):
        return found.numpy().copy()
    if isinstance(found, dict):
        return {key: numbers(value) for key, value in found.items()}
    if isinstance(found, (tuple, list)):
        return [numbers(value) for value in found]
    return found


def gradients(model):
    return [None if p.grad is None else p.grad.numpy().copy() for p in model.parameters()]


LOOPS = {}


def loop(make):
    LOOPS[make.__name__] = make
    return make


# Each gives a function to compile and one that does a number of calls, and gives what it saw.


def of_batches(call, *models, calls=5):
    found = []
    for i in range(calls):
        rows = slice(4 * i % 16, 4 * i % 16 + 8)
        found.append(numbers(call(cr.tensor(X[rows]), Y[rows])))
    return found, *map(weights, models)


@loop
def plain():
    model, loss_fn = network(), nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=0.05)

    def step(x, y):
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step, lambda call: of_batches(call, model)


@loop
def zero_grad_last():
    model, loss_fn = network(), nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    def step(x, y):
        loss_fn(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step, lambda call: (of_batches(call, model), gradients(model))


@loop
def gradients_add_up_over_calls():
    model, loss_fn = network(), nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.05)

    def step(x, y):
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    def run(call):
        seen = [of_batches(call, model, calls=2), gradients(model)]
        model[0].zero_grad()
        return [*seen, of_batches(call, model, calls=3), gradients(model)]

    return step, run


@loop
def accumulation():
    model, loss_fn = network(), nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=0.05)

    def step(x, y, update):
        loss = loss_fn(model(x), y) / 2.0
        loss.backward()
        if update:
            optimizer.step()
            optimizer.zero_grad()
        return loss

    def run(call):
        found = []
        for i in range(6):
            found += [numbers(call(cr.tensor(X[i:][:6]), Y[i:][:6], i % 2 == 1)), gradients(model)]
        return found, weights(model)

    return step, run


@loop
def gradients_alone():
    model, loss_fn = network(), nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def differentiate(x, y):
        model.zero_grad()
        loss_fn(model(x), y).backward()

    def run(call):
        found = []
        for i in range(3):
            call(cr.tensor(X[i:][:5]), Y[i:][:5])
            found.append(gradients(model))
            optimizer.step()
        return found, weights(model)

    return differentiate, run


@loop
def clipping_and_averages():
    model, loss_fn = network(), nn.CrossEntropyLoss()
    optimizer = optim.RMSprop(model.parameters(), lr=0.05)
    ema = optim.EMA(model.parameters(), decay=0.8)

    def clip(limit):
        norm = cr.sqrt(sum((p.grad * p.grad).sum() for p in model.parameters()))
        for p in model.parameters():
            p.grad = p.grad * cr.minimum(limit / (norm + 1e-6), 1.0)
        return norm

    def step(x, y):
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        norm = clip(0.3)
        optimizer.step()
        ema.update()
        return {"loss": loss, "norm": norm}

    return step, lambda call: (of_batches(call, model), numbers(ema.averages))


@loop
def statistics_and_noise():
    model, loss_fn = (
        network(0, nn.BatchNorm1d(5, dtype="float64"), nn.Dropout(0.4)),
        nn.CrossEntropyLoss(),
    )
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    def run(call):
        cr.manual_seed(3)
        first = of_batches(call, model)
        model[3].p = 0.1
        with cr.use_generator(cr.Generator(8)):
            second = of_batches(call, model)
        return first, second, of_batches(call, model), cr.uniform((2,)).numpy()

    return step, run


@loop
def two_optimizers():
    """A generator and a discriminator in one function, which freezes one meanwhile."""
    made, judge = network(), network(4)
    of_made, of_judge = (
        optim.Adam(made.parameters(), lr=0.02),
        optim.SGD(judge.parameters(), lr=0.1),
    )
    with cr.use_generator(cr.Generator(1)):
        head = nn.Linear(3, 4, dtype="float64")

    def step(z, x):
        of_judge.zero_grad()
        fake = head(made(z))
        loss = cr.mean(judge(fake.detach()) ** 2) + cr.mean((judge(x) - 1.0) ** 2)
        loss.backward()
        of_judge.step()
        of_made.zero_grad()
        judge.requires_grad_(False)
        other = cr.mean((judge(head(made(z))) - 1.0) ** 2)
        other.backward()
        of_made.step()
        judge.requires_grad_(True)
        return loss, other

    def run(call):
        found = [numbers(call(cr.tensor(X[i:][:4]), cr.tensor(X[i + 4 :][:6]))) for i in range(4)]
        return found, weights(made), weights(judge), [p.requires_grad for p in judge.parameters()]

    return step, run


@loop
def several_updates_in_one_call():
    model = network(0, nn.BatchNorm1d(5, dtype="float64"))
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    model[0].bias.requires_grad = False

    def step(x, y):
        losses = []
        for _ in range(3):
            optimizer.zero_grad()
            losses.append(cross_entropy(model(x), y))
            losses[-1].backward()
            optimizer.step()
        return losses

    return step, lambda call: of_batches(call, model)


@loop
def a_critic_more_often_than_its_generator():
    generator, critic = network(0), network(1)
    for_generator = optim.SGD(generator.parameters(), lr=0.1)
    for_critic = optim.RMSprop(critic.parameters(), lr=0.05)

    def made(x):
        return cr.concatenate([generator(x), x[:, :1]], axis=1)

    def step(x, y):
        for _ in range(2):
            for_critic.zero_grad()
            distance = critic(made(x).detach()).mean() - critic(x).mean()
            distance.backward()
            for_critic.step()
        for_generator.zero_grad()
        (-critic(made(x)).mean()).backward()
        for_generator.step()
        return distance

    return step, lambda call: of_batches(call, generator, critic)


@loop
def updates_by_hand_before_backward():
    model = network()

    def step(x, y):
        for _ in range(2):
            model.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            for p in model.parameters():  # its graph does not reach past the assignment
                p.assign(p - 0.1 * p.grad)
        return loss

    return step, lambda call: (of_batches(call, model), gradients(model))


@loop
def modes():
    model = network(0, nn.BatchNorm1d(5, dtype="float64"))
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def call_in_mode(x, y, train):
        model.train(train)
        if not train:
            with cr.no_grad():
                return cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    def run(call):
        found = []
        for train in (True, False, True, True, False, False):
            found.append(numbers(call(cr.tensor(X[:6]), Y[:6], train)))
            found.append(model[1].training)
        return found, weights(model)

    return call_in_mode, run


@loop
def what_changes_between_calls():
    model, loss_fn = network(0, nn.BatchNorm1d(5, dtype="float64")), nn.CrossEntropyLoss()
    optimizer = optim.SGD(model[0].parameters(), lr=0.1, momentum=0.5)
    schedule = optim.StepLR(optimizer, 1, 0.5)

    def step(x, y):
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    def run(call):
        found = [of_batches(call, model)]
        schedule.step()
        found.append(of_batches(call, model))
        optimizer.param_groups[0]["lr"] = 0.3
        model.eval()
        found.append(of_batches(call, model))
        model.train()
        model[0].weight.requires_grad = False
        found.append(of_batches(call, model))
        optimizer.add_param_group({"params": list(model[3].parameters()), "lr": 0.2})
        found.append(of_batches(call, model))
        loss_fn.label_smoothing = 0.3
        found.append(of_batches(call, model))
        model[0].bias.assign(np.zeros(5))
        found.append(of_batches(call, model))
        return found, numbers(optimizer.states())

    return step, run


@loop
def rates_that_the_function_sets():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x, y, lr):
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()

    def run(call):
        for lr in (0.1, 0.2, 0.1):
            call(cr.tensor(X[:6]), Y[:6], lr)
        return weights(model), optimizer.param_groups[0]["lr"]

    return step, run


@loop
def structures():
    scale = cr.Parameter([1.0, 2.0], dtype="float64")

    def arrange(pair, options, *, power=1):
        a, b = pair
        result = (a * scale).sum() ** power + b.mean()
        return [
            result,
            {"b": b * options["factor"], "text": "same", "none": None},
            (power, a),
            scale,
        ]

    def run(call):
        found = []
        for power in (1, 2, 1):
            given = cr.tensor([1.0, 3.0], "float64"), cr.tensor(X[: 2 + power])
            found.append(numbers(call(given, {"factor": 3.0}, power=power)))
        return found

    return arrange, run


@loop
def gradients_of_arguments():
    model = network()

    def attack(x, y):
        loss = cross_entropy(model(x), y)
        loss.backward()
        return x + 0.1 * cr.sign(x.grad)

    def run(call):
        x, found = cr.tensor(X[:5], requires_grad=True), []
        for _ in range(3):
            found += [numbers(call(x, Y[:5])), x.grad.numpy().copy()]
        x.grad = None
        return [*found, numbers(call(x, Y[:5])), x.grad.numpy().copy(), gradients(model)]

    return attack, run


@loop
def second_order():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        slope = cr.grad(loss, model[0].weight)
        (loss + 0.1 * (slope * slope).sum()).backward()
        optimizer.step()
        return slope

    return step, lambda call: of_batches(call, model)


@loop
def forward_alone():
    model = network(0, nn.Dropout(0.5)).eval()
    return model, lambda call: [numbers(call(cr.tensor(X[:n]))) for n in (3, 1, 3)]


@loop
def constants_and_kinds_of_numbers():
    table = np.arange(12.0).reshape(4, 3)

    def mix(rows, mask, small, number):
        return (
            cr.tensor(table)[rows] * number,
            cr.where(mask, 1.0, 0.0),
            small.astype("float64") * 2,
        )

    def run(call):
        rows = np.array([3, 0, 1])
        mask, small = np.array([True, False]), np.array([1, 2], "int32")
        return [numbers(call(rows, mask, cr.tensor(small), np.float64(n))) for n in (2, 3)]

    return mix, run


# Tensors that are computed, and made to require a gradient then


def of_critic(objective):
    """Training by an objective of a generator, a critic and data."""
    cr.manual_seed(0)
    generator, critic = nn.Linear(4, 4, dtype="float64"), network(1)
    optimizer = optim.SGD([*generator.parameters(), *critic.parameters()], lr=0.05)

    def step(x, y):
        optimizer.zero_grad()
        loss, *result = objective(generator, critic, x)
        loss.backward()
        optimizer.step()
        return loss, *result, *(p.grad for p in generator.parameters() if p.grad is not None)

    return step, lambda call: of_batches(call, critic, generator)


@loop
def gradient_penalty():
    def objective(generator, critic, x):
        between = (0.3 * x + 0.7 * generator(x).detach()).requires_grad_(True)
        gradient = cr.grad(critic(between).sum(), between)
        return [((gradient**2).sum(1) ** 0.5 - 1).square().mean()]

    return of_critic(objective)


@loop
def signs_of_gradients():
    def objective(generator, critic, x):
        near, delta = x.detach().requires_grad_(), cr.zeros(x.shape, x.dtype, requires_grad=True)
        critic(near + delta).square().mean().backward()
        critic(2.0 * near).square().mean().backward()
        critic.zero_grad()
        return critic(x + 0.1 * cr.sign(near.grad)).square().mean(), near.grad, delta.grad

    return of_critic(objective)


@loop
def steps_without_a_graph():
    def objective(generator, critic, x):
        with cr.no_grad():
            delta = 0.1 * generator(x)
        delta.requires_grad_()
        for _ in range(2):
            gradient = cr.grad(critic(generator(x) + delta).square().mean(), delta)
            with cr.no_grad():
                delta = delta + 0.1 * gradient * critic(x).mean() * generator.weight.sum()
            delta.requires_grad_()
        critic(x + delta).sum().backward(inputs=[delta])
        return critic(x + delta).square().mean(), delta.grad

    return of_critic(objective)
