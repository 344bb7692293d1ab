"""Train a classifier of handwritten digits on a worker, and draw how it went.

The 1,797 images are scikit-learn's copy of the UCI digits (8 x 8 pixels). The script is PyTorch's recipe, line for line;
only the import says that the tensors are elsewhere.

    python examples/digits.py [--epochs 20] [--curve digits.png] [--address HOST:PORT]
"""

from __future__ import annotations

import argparse
import time

import matplotlib
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import gradwire as gw
from gradwire import nn
from gradwire.utils.data import DataLoader, TensorDataset

matplotlib.use("Agg")
from matplotlib import pyplot


def load(seed: int) -> tuple[TensorDataset, gw.Tensor, gw.Tensor]:
    """Return the training set, and images and labels of the test set (a fifth, stratified)."""
    digits = load_digits()
    images = (digits.data / 16).astype("float32")
    split = train_test_split(images, digits.target, test_size=0.2, stratify=digits.target, random_state=seed)
    train_images, test_images, train_labels, test_labels = (gw.from_numpy(part) for part in split)
    return TensorDataset(train_images, train_labels), test_images, test_labels


def make_model() -> nn.Module:
    """Return a small multilayer perceptron with dropout."""
    return nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
    )


def accuracy(model: nn.Module, images: gw.Tensor, labels: gw.Tensor) -> float:
    """Return the share of images that the model names rightly."""
    model.eval()
    with gw.no_grad():
        right = (model(images).argmax(dim=1) == labels).float().mean().item()
    model.train()
    return right


def train(
    model: nn.Module, data: TensorDataset, images: gw.Tensor, labels: gw.Tensor, epochs: int
) -> tuple[list[float], list[float]]:
    """Return the mean training loss and the test accuracy of each epoch."""
    loader = DataLoader(data, batch_size=64, shuffle=True)
    criterion = nn.CrossEntropyLoss()
    optimizer = gw.optim.Adam(model.parameters(), lr=3e-3)
    losses, accuracies = [], []
    progress = tqdm(range(epochs), desc="training", unit="epoch")
    for _ in progress:
        total = gw.zeros(())
        for batch_images, batch_labels in loader:
            optimizer.zero_grad()
            loss = criterion(model(batch_images), batch_labels)
            loss.backward()
            optimizer.step()
            total += loss.detach()
        # One wait an epoch: the sum stayed on the worker.
        losses.append(total.item() / len(loader))
        accuracies.append(accuracy(model, images, labels))
        progress.set_postfix(loss=f"{losses[-1]:.4f}", accuracy=f"{accuracies[-1]:.1%}")
    return losses, accuracies


def draw(losses: list[float], accuracies: list[float], path: str) -> None:
    """Write the two curves as one PNG."""
    figure, left = pyplot.subplots(figsize=(7, 4))
    right = left.twinx()
    epochs = range(1, len(losses) + 1)
    left.semilogy(epochs, losses, color="tab:blue")
    right.plot(epochs, [100 * value for value in accuracies], color="tab:orange")
    left.set(xlabel="epoch", ylabel="training loss")
    left.yaxis.label.set_color("tab:blue")
    right.set_ylabel("test accuracy, %", color="tab:orange")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def report(seconds: float) -> None:
    """Print where the time went."""
    s = gw.current_session().statistics()
    print(f"{seconds:.1f} s, of which {s.wait_seconds:.1f} s in {s.waits} waits for the worker")
    print(
        f"{s.calls} calls in {s.messages} messages ({s.calls / s.messages:.0f} a message), {s.signatures} kinds of call"
    )
    print(f"{s.sent_bytes / 1e6:.1f} MB sent, {s.received_bytes / 1e6:.2f} MB received")


def main() -> None:
    """Train, report, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--curve", default="digits.png", help="where the curve goes")
    parser.add_argument("--address", help="a worker; without it GRADWIRE_ADDRESS, or a worker of its own")
    given = parser.parse_args()
    session = gw.connect(given.address)
    print(f"worker at {session.address}, computing on {session.device}")
    gw.manual_seed(given.seed)
    data, images, labels = load(given.seed)
    model = make_model()
    started = time.perf_counter()
    losses, accuracies = train(model, data, images, labels, given.epochs)
    seconds = time.perf_counter() - started
    draw(losses, accuracies, given.curve)
    print(f"test accuracy {accuracies[-1]:.1%}, curve in {given.curve}")
    report(seconds)


if __name__ == "__main__":
    main()
