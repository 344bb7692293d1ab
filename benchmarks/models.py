"""The models of the benchmark, written once: each function takes `torch` or `gradwire` and builds from its `nn`.

Owns architectures alone; data, optimizers and timing are in `workloads`. Nothing here imports either of the two.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

__all__ = ["cell_classifier", "char_gpt", "lenet", "lstm_classifier", "mlp", "resnet20"]


def mlp(torch: Any, *widths: int) -> Any:
    """Return linear layers from one width to the next, with ReLU between them."""
    nn = torch.nn
    layers = [layer for before, after in pairwise(widths) for layer in (nn.Linear(before, after), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def lenet(torch: Any) -> Any:
    """Return LeNet-5 on (N, 1, 28, 28) for ten classes, with ReLU and max pooling; 61,706 parameters."""
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def _residual_block(torch: Any, channels_in: int, channels: int) -> Any:
    """Return two 3x3 convolutions and a shortcut without parameters; more channels halve the image."""
    nn, F = torch.nn, torch.nn.functional
    stride = 1 if channels_in == channels else 2
    added = (channels - channels_in) // 2

    class ResidualBlock(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
            self.norm1 = nn.BatchNorm2d(channels)
            self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            self.norm2 = nn.BatchNorm2d(channels)

        def forward(self, x: Any) -> Any:
            shortcut = x if stride == 1 else F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, added, added))
            hidden = F.relu(self.norm1(self.conv1(x)))
            return F.relu(self.norm2(self.conv2(hidden)) + shortcut)

    return ResidualBlock()


def resnet20(torch: Any) -> Any:
    """Return the ResNet-20 of He et al. (2015), 4.2, on (N, 3, 32, 32) for ten classes; 269,722 parameters."""
    nn = torch.nn
    widths = [16, 16, 16, 16, 32, 32, 32, 64, 64, 64]
    blocks = [_residual_block(torch, before, after) for before, after in pairwise(widths)]
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), *blocks,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def _attention(torch: Any, width: int, heads: int) -> Any:
    """Return causal self-attention on (N, T, width)."""
    nn, F = torch.nn, torch.nn.functional

    class Attention(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(width, 3 * width)
            self.out = nn.Linear(width, width)

        def forward(self, x: Any) -> Any:
            rows, length, _ = x.shape
            query, key, value = (
                part.view(rows, length, heads, width // heads).transpose(1, 2)
                for part in self.qkv(x).split(width, dim=2)
            )
            mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
            return self.out(mixed.transpose(1, 2).reshape(rows, length, width))

    return Attention()


def _transformer_block(torch: Any, width: int, heads: int) -> Any:
    """Return attention and a feed-forward part, each after a LayerNorm and added to its input."""
    nn = torch.nn

    class TransformerBlock(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.attention = _attention(torch, width, heads)
            self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x: Any) -> Any:
            x = x + self.attention(self.norm1(x))
            return x + self.feed_forward(self.norm2(x))

    return TransformerBlock()


def char_gpt(torch: Any, vocabulary: int = 65, context: int = 64, width: int = 128, layers: int = 4) -> Any:
    """Return a decoder of characters with 4 heads, (N, context) -> (N * context, vocabulary)."""
    nn = torch.nn

    class CharGPT(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.characters = nn.Embedding(vocabulary, width)
            self.positions = nn.Embedding(context, width)
            self.blocks = nn.Sequential(*(_transformer_block(torch, width, 4) for _ in range(layers)))
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, vocabulary)

        def forward(self, characters: Any) -> Any:
            x = self.characters(characters) + self.positions(torch.arange(context))
            return self.head(self.norm(self.blocks(x))).flatten(0, 1)

    return CharGPT()


def lstm_classifier(torch: Any, width: int = 128, classes: int = 10) -> Any:
    """Return an LSTM over (T, N, width) with a linear head on its last step, to (N, classes)."""
    nn = torch.nn

    class LSTMClassifier(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(width, width)
            self.head = nn.Linear(width, classes)

        def forward(self, x: Any) -> Any:
            outputs, _ = self.lstm(x)
            return self.head(outputs[-1])

    return LSTMClassifier()


def cell_classifier(torch: Any, width: int = 128, classes: int = 10) -> Any:
    """Return the same with a Python loop over an LSTMCell."""
    nn = torch.nn

    class CellClassifier(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.LSTMCell(width, width)
            self.head = nn.Linear(width, classes)

        def forward(self, x: Any) -> Any:
            state: Any = None
            for part in x.unbind(0):
                state = self.cell(part, state)
            return self.head(state[0])

    return CellClassifier()
