"""A training with all that a session has: calls and a compiled step, uploads, a download, random numbers, two optimizers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

import gradwire as gw
from gradwire import nn

__all__ = ["Result", "train"]

Result = tuple[list[str], str]


def train(steps: int, disturb: Callable[[int], None] = lambda step: None) -> Result:
    """Train two networks, one by a compiled step; return every loss's bits, and a digest of the weights."""
    gw.manual_seed(5)
    draw = np.random.default_rng(9)
    # Its first weights take 115,200 bytes: they come back beside the answers.
    eager = nn.Sequential(nn.Linear(300, 96), nn.ReLU(), nn.Dropout(0.2), nn.Linear(96, 4))
    small = nn.Sequential(nn.Linear(300, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 4))
    momentum = gw.optim.SGD(eager.parameters(), lr=0.05, momentum=0.9)
    adam = gw.optim.Adam(small.parameters(), lr=0.01)

    @gw.compile
    def compiled_step(x: gw.Tensor, y: gw.Tensor) -> gw.Tensor:
        adam.zero_grad()
        loss = nn.functional.cross_entropy(small(x), y)
        loss.backward()
        adam.step()
        return loss

    losses: list[str] = []
    for step in range(steps):
        # 76,800 bytes: an upload beside the calls.
        x, y = gw.tensor(draw.standard_normal((64, 300), np.float32)), gw.tensor(draw.integers(0, 4, 64))
        momentum.zero_grad()
        loss = nn.functional.cross_entropy(eager(x), y)
        loss.backward()
        disturb(step)
        momentum.step()
        losses += [loss.item().hex(), compiled_step(x, y).item().hex()]
    digest = hashlib.sha256()
    for parameter in [*eager.parameters(), *small.parameters()]:
        digest.update(parameter.detach().numpy().tobytes())
    return losses, digest.hexdigest()
