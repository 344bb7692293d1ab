"""One client of the soak: trains, keeps and drops tensors; at each barrier says what it holds, and waits for a line to go on.

    python -m tests.system.soaking ADDRESS SEED BALLAST_BYTES

What it does in its nth leg follows from the seed, so clients of one seed say the same digest there.
"""

from __future__ import annotations

import gc
import hashlib
import json
import random
import sys
from typing import Any

import numpy as np

import gradwire as gw
from gradwire import nn
from gradwire.session import Session
from gradwire.tensor import Tensor
from tests.system.onlooker import name_of

_STEPS = 12
_MOST_KEPT = 30


class Training:
    """A training, and tensors of all kinds that live for a while."""

    def __init__(self, seed: int) -> None:
        gw.manual_seed(seed)
        self._draw, self._data = random.Random(seed), np.random.default_rng(seed)
        self._model = nn.Sequential(nn.Linear(300, 24), nn.ReLU(), nn.Dropout(0.2), nn.Linear(24, 4))
        self._optimizer = gw.optim.Adam(self._model.parameters(), lr=0.01)
        self._compiled = gw.compile(self._step)
        self._kept: list[Any] = []
        self._digest = hashlib.sha256()

    def _step(self, x: Tensor, y: Tensor) -> Tensor:
        self._optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self._model(x), y)
        loss.backward()
        self._optimizer.step()
        return loss.detach()

    def leg(self) -> str:
        """Go on for a few steps; return a digest of all losses so far."""
        for _ in range(_STEPS):
            # 76,800 bytes: an upload beside the calls.
            x = gw.tensor(self._data.standard_normal((64, 300), np.float32))
            y = gw.tensor(self._data.integers(0, 4, 64))
            loss = (self._compiled if self._draw.random() < 0.5 else self._step)(x, y)
            self._kept.append(self._held(x, loss))
            while len(self._kept) > self._draw.randint(0, _MOST_KEPT):
                self._kept.pop(self._draw.randrange(len(self._kept)))
            self._digest.update(loss.item().hex().encode())
        return self._digest.hexdigest()[:16]

    def _held(self, x: Tensor, loss: Tensor) -> Any:
        kind = self._draw.randrange(5)
        if kind == 0:
            return self._model(x).exp().sum()  # with its graph
        if kind == 1:
            return self._model(x).sum().grad_fn  # the graph alone
        if kind == 2:
            return x[self._draw.randrange(64)]  # a view, which keeps the whole
        if kind == 3:
            return loss, gw.rand(self._draw.randrange(1, 4000))
        return gw.tensor([float(number) for number in range(self._draw.randrange(1, 50))])


def held(session: Session) -> tuple[int, int]:
    """Return how many handles live objects of this process stand for, and the bytes of their tensors."""
    gc.collect()
    session.flush()
    session.wait()
    found = {
        each.handle: each.meta.nbytes
        for each in gc.get_objects()
        if isinstance(each, Tensor) and getattr(each, "session", None) is session and each.handle
    }
    return len(found), sum(found.values())


def main() -> None:
    address, seed, ballast_bytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    session = gw.connect(address)
    ballast = gw.ones(ballast_bytes, dtype=gw.uint8)
    training = Training(seed)
    name, leg, digest = name_of(session.welcome.token), 0, ""
    while True:
        handles, size_bytes = held(session)
        report = {"name": name, "leg": leg, "digest": digest, "handles": handles, "bytes": size_bytes}
        print(json.dumps(report), flush=True)
        if sys.stdin.readline() != "go\n":
            break
        digest, leg = training.leg(), leg + 1
    del ballast
    session.close()


if __name__ == "__main__":
    main()
