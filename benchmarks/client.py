"""One of many clients of a worker, in a process of its own: `python -m benchmarks.client ADDRESS`.

Told a number of seconds, it runs a step and waits for it, over and over, for so long; it answers with each step's seconds.
"""

from __future__ import annotations

import sys
import time

import numpy as np

import gradwire as gw
from benchmarks import models
from benchmarks.children import say, serving

__all__: list[str] = []


def main() -> None:
    """Serve the benchmark until its pipe closes."""
    session = gw.connect(sys.argv[1])
    gw.manual_seed(0)
    draw = np.random.default_rng(0)
    model = models.mlp(gw, 256, 256, 256, 10)
    optimizer = gw.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    inputs, labels = gw.from_numpy(draw.standard_normal((64, 256), np.float32)), gw.from_numpy(draw.integers(0, 10, 64))

    @gw.compile
    def step() -> None:
        optimizer.zero_grad()
        gw.nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()

    for _ in range(5):
        step()
    session.wait()
    say("ready")
    for seconds in serving():
        taken = []
        end = time.perf_counter() + float(seconds)
        while (started := time.perf_counter()) < end:
            step()
            session.wait()
            taken.append(time.perf_counter() - started)
        say(taken)
    session.close()


if __name__ == "__main__":
    main()
