"""The loop that everyone writes, compiled."""

import chainrule as cr


def compiled_step(model, loss_fn, optimizer, backend=None):
    """A function (x, y) -> loss that trains one step."""

    @cr.compile(backend=backend)
    def step(x, y):
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step
