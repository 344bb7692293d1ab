"""W1's step in JAX: jitted, local, one thread."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.children import say, serve

REPEATS = 10


def _loss(parameters: Any, inputs: Any, labels: Any) -> Any:
    import jax
    import jax.numpy as jnp

    x = inputs
    for index, (weight, bias) in enumerate(parameters):
        x = (jax.nn.relu(x) if index else x) @ weight + bias
    rows = jnp.arange(labels.shape[0])
    return -jnp.mean(jax.nn.log_softmax(x)[rows, labels])


def _round() -> Callable[[], None]:
    """Return what trains `REPEATS` steps and waits for the last."""
    import jax

    draw = np.random.default_rng(0)
    widths = (784, 512, 512, 10)
    parameters: Any = [
        (draw.uniform(-1, 1, pair).astype(np.float32) * pair[0] ** -0.5, np.zeros(pair[1], np.float32))
        for pair in pairwise(widths)
    ]
    momenta = jax.tree.map(np.zeros_like, parameters)
    inputs = jax.device_put(draw.standard_normal((128, 784), np.float32))
    labels = jax.device_put(draw.integers(0, 10, 128).astype(np.int32))
    state = jax.device_put((parameters, momenta))

    def step(state: Any, inputs: Any, labels: Any) -> Any:
        parameters, momenta = state
        loss, gradients = jax.value_and_grad(_loss)(parameters, inputs, labels)
        momenta = jax.tree.map(lambda m, g: 0.9 * m + g, momenta, gradients)
        parameters = jax.tree.map(lambda p, m: p - 0.01 * m, parameters, momenta)
        return (parameters, momenta), loss

    jitted = jax.jit(step, donate_argnums=0)

    def run() -> None:
        nonlocal state
        for _ in range(REPEATS):
            state, loss = jitted(state, inputs, labels)
        jax.block_until_ready((state, loss))

    return run


def _one_core() -> None:
    """Keep XLA to one core, before it counts them: with its flags for one thread it still uses 1.7 here."""
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def main() -> None:
    """Serve rounds, or say that JAX is not installed."""
    _one_core()
    try:
        import jax
    except ImportError:
        say({"missing": "jax"})
        return
    run = _round()
    run()
    serve(jax.__version__, run)


if __name__ == "__main__":
    main()
