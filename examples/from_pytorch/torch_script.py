"""Classify handwritten digits with a residual network."""

import argparse
import copy
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, TensorDataset, random_split

from chainrule.data.datasets import digits


class ResidualBlock(nn.Module):
    def __init__(self, width, dropout):
        super().__init__()
        self.fc1 = nn.Linear(width, width)
        self.bn1 = nn.BatchNorm1d(width)
        self.fc2 = nn.Linear(width, width)
        self.bn2 = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        out = F.relu(self.bn1(self.fc1(x)), inplace=True)
        out = self.dropout(out)
        out = self.bn2(self.fc2(out))
        return F.relu(x + out)


class ResidualMLP(nn.Module):
    def __init__(self, inputs, classes, width=64, blocks=2, dropout=0.2):
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU())
        self.blocks = nn.ModuleList(ResidualBlock(width, dropout) for _ in range(blocks))
        self.head = nn.Linear(width, classes)
        self.apply(self.init_weights)

    @staticmethod
    def init_weights(module):
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)

    def forward(self, x):
        x = x.view(x.size(0), -1)
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class EarlyStopping:
    """Keep the best weights, and say when there was no better epoch for a while."""

    def __init__(self, patience):
        self.patience = patience
        self.best_loss = float("inf")
        self.best_state = None
        self.waited = 0

    def step(self, loss, model):
        if loss < self.best_loss:
            self.best_loss = loss
            self.best_state = copy.deepcopy(model.state_dict())
            self.waited = 0
        else:
            self.waited += 1
        return self.waited >= self.patience


def train_one_epoch(model, loader, criterion, optimizer, scheduler, device):
    model.train()
    running_loss, correct, total = 0.0, 0, 0
    for inputs, targets in loader:
        inputs, targets = inputs.to(device), targets.to(device)
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = criterion(outputs, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        scheduler.step()
        running_loss += loss.item() * len(targets)
        correct += (outputs.argmax(dim=1) == targets).sum().item()
        total += len(targets)
    return running_loss / total, correct / total


@torch.no_grad()
def evaluate(model, loader, criterion, device):
    model.eval()
    running_loss, correct, total = 0.0, 0, 0
    for inputs, targets in loader:
        inputs, targets = inputs.to(device), targets.to(device)
        outputs = model(inputs)
        running_loss += criterion(outputs, targets).item() * len(targets)
        correct += (outputs.argmax(dim=1) == targets).sum().item()
        total += len(targets)
    return running_loss / total, correct / total


def to_dataset(images, labels):
    images = torch.tensor(images, dtype=torch.float32)
    labels = torch.tensor(labels, dtype=torch.long)
    return TensorDataset(images, labels)


def load_data(batch_size):
    images = digits()
    dataset = to_dataset(images.x_train, images.y_train)
    test_set = to_dataset(images.x_test, images.y_test)
    valid_size = len(dataset) // 5
    train_set, valid_set = random_split(dataset, [len(dataset) - valid_size, valid_size])
    train_loader = DataLoader(train_set, batch_size=batch_size, shuffle=True, drop_last=True)
    valid_loader = DataLoader(valid_set, batch_size=256)
    test_loader = DataLoader(test_set, batch_size=256)
    return train_loader, valid_loader, test_loader


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--patience", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="best_model")
    args = parser.parse_args(argv)

    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train_loader, valid_loader, test_loader = load_data(args.batch_size)

    model = ResidualMLP(inputs=64, classes=10).to(device)
    print(model)
    print(f"{sum(p.numel() for p in model.parameters() if p.requires_grad):,} parameters")
    criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
    optimizer = AdamW(model.parameters(), lr=args.lr, weight_decay=0.01)
    scheduler = OneCycleLR(
        optimizer, max_lr=args.lr, epochs=args.epochs, steps_per_epoch=len(train_loader)
    )
    stopping = EarlyStopping(args.patience)

    for epoch in range(1, args.epochs + 1):
        start = time.perf_counter()
        loss, accuracy = train_one_epoch(
            model, train_loader, criterion, optimizer, scheduler, device
        )
        valid_loss, valid_accuracy = evaluate(model, valid_loader, criterion, device)
        seconds = time.perf_counter() - start
        print(
            f"epoch {epoch:3d}  loss {loss:.4f}  accuracy {accuracy:.3f}  "
            f"valid loss {valid_loss:.4f}  valid accuracy {valid_accuracy:.3f}  "
            f"lr {scheduler.get_last_lr()[0]:.5f}  {seconds:.2f} s"
        )
        if stopping.step(valid_loss, model):
            print(f"stopped after epoch {epoch}: no better one for {args.patience} epochs")
            break

    torch.save(stopping.best_state, args.out)
    model.load_state_dict(torch.load(args.out, map_location=device))
    test_loss, test_accuracy = evaluate(model, test_loader, criterion, device)
    print(f"test loss {test_loss:.4f}  test accuracy {test_accuracy:.3f}")
    return test_accuracy


if __name__ == "__main__":
    main()
