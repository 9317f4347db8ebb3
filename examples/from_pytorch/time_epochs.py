"""Time an epoch of the script: as it comes, compiled, by a Trainer, and in PyTorch.

The ways take turns, each with one thread, and the median of all rounds is printed, in milliseconds.
An epoch trains on 1,152 rows in batches of 64 and evaluates the loss and accuracy of 285.
"""

import argparse
import importlib.util
import statistics
import time

import chainrule_script

import chainrule as cr
from chainrule import nn, optim
from chainrule.data.datasets import digits

TRAIN, BATCH = 1152, 64


def script(module, library, Loader, Dataset):
    """A function that runs one epoch of a script."""
    x, y = digits().x_train, digits().y_train
    sets = [
        Dataset(library.tensor(x[part], dtype=library.float32), library.tensor(y[part]))
        for part in (slice(TRAIN), slice(TRAIN, None))
    ]
    train = Loader(sets[0], batch_size=BATCH, shuffle=True, drop_last=True)
    valid = Loader(sets[1], batch_size=256)
    model = module.ResidualMLP(64, 10)
    criterion = module.nn.CrossEntropyLoss(label_smoothing=0.05)
    optimizer = module.AdamW(model.parameters(), lr=0.01, weight_decay=0.01)
    scheduler = module.OneCycleLR(optimizer, max_lr=0.01, total_steps=100_000)

    def epoch():
        module.train_one_epoch(model, train, criterion, optimizer, scheduler, "cpu")
        module.evaluate(model, valid, criterion, "cpu")

    def compiled_epoch():
        for compiled, loader in ((step, train), (measure, valid)):
            model.train(compiled is step)
            running_loss, correct = 0.0, 0
            for inputs, targets in loader:
                loss, right = compiled(inputs, targets)
                if compiled is step:
                    scheduler.step()
                running_loss += loss.item() * len(targets)
                correct += right.item()

    def step(inputs, targets):
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = criterion(outputs, targets)
        loss.backward()
        module.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        return loss, (outputs.argmax(dim=1) == targets).sum()

    def measure(inputs, targets):
        outputs = model(inputs)
        return criterion(outputs, targets), (outputs.argmax(dim=1) == targets).sum()

    if library is cr:
        step, measure = cr.compile(step), cr.compile(measure)
    return epoch, compiled_epoch


def trainer():
    """A function that runs one epoch of a Trainer."""
    x, y = digits().x_train, digits().y_train
    model = chainrule_script.ResidualMLP(64, 10)
    optimizer = optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.01)
    made = cr.Trainer(
        model,
        nn.CrossEntropyLoss(label_smoothing=0.05),
        optimizer,
        metrics=["accuracy"],
        schedule=optim.OneCycleLR(optimizer, max_lr=0.01, total_steps=100_000),
        clip_norm=1.0,
    )
    data = {"validation_data": (x[TRAIN:], y[TRAIN:]), "batch_size": BATCH, "progress": False}
    return lambda: made.fit(x[:TRAIN], y[:TRAIN], epochs=1, **data)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    cr.set_num_threads(1)
    ours, compiled = script(chainrule_script, cr, cr.data.DataLoader, cr.data.TensorDataset)
    ways = {"as it comes": ours, "compiled": compiled, "Trainer": trainer()}
    if importlib.util.find_spec("torch"):
        import torch
        import torch_script
        from torch.utils.data import DataLoader, TensorDataset

        torch.set_num_threads(1)
        ways["PyTorch"], _ = script(torch_script, torch, DataLoader, TensorDataset)
    times = {way: [] for way in ways}
    for _ in range(rounds + 1):  # the first round captures and compiles
        for way, epoch in ways.items():
            start = time.perf_counter()
            epoch()
            times[way].append(1000 * (time.perf_counter() - start))
    for way, measured in times.items():
        print(f"{way:12} {statistics.median(measured[1:]):7.2f} ms an epoch")


if __name__ == "__main__":
    main()
