"""W4's step in TensorFlow: a `tf.function` on another process's device, where the weights are too."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Without it, TensorFlow looks for a GPU.
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np

from benchmarks.children import say, serve

REPEATS = 5
VOCABULARY, CONTEXT, WIDTH, LAYERS, HEADS, ROWS = 65, 64, 128, 4, 4, 16


def _weights(tf: Any) -> dict[str, Any]:
    """Return the variables, by name."""
    draw = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {"characters": (VOCABULARY, WIDTH), "positions": (CONTEXT, WIDTH)}
    for layer in range(LAYERS):
        linear = {
            "qkv": (WIDTH, 3 * WIDTH),
            "out": (WIDTH, WIDTH),
            "up": (WIDTH, 4 * WIDTH),
            "down": (4 * WIDTH, WIDTH),
        }
        for name, shape in linear.items():
            shapes |= {f"{layer}.{name}.weight": shape, f"{layer}.{name}.bias": shape[1:]}
        for name in ("norm1", "norm2"):
            shapes |= {f"{layer}.{name}.scale": (WIDTH,), f"{layer}.{name}.bias": (WIDTH,)}
    shapes |= {
        "norm.scale": (WIDTH,),
        "norm.bias": (WIDTH,),
        "head.weight": (WIDTH, VOCABULARY),
        "head.bias": (VOCABULARY,),
    }

    def first(name: str, shape: tuple[int, ...]) -> Any:
        if name.endswith("scale"):
            return np.ones(shape, np.float32)
        return (draw.standard_normal(shape) * (0.02 if len(shape) > 1 else 0)).astype(np.float32)

    return {name: tf.Variable(first(name, shape)) for name, shape in shapes.items()}


def _norm(tf: Any, weights: dict[str, Any], name: str, x: Any) -> Any:
    mean, variance = tf.nn.moments(x, -1, keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, weights[f"{name}.bias"], weights[f"{name}.scale"], 1e-5)


def _linear(tf: Any, weights: dict[str, Any], name: str, x: Any) -> Any:
    """Return a product of matrices: TensorFlow's with three axes and two is slower."""
    flat = tf.reshape(x, (-1, x.shape[-1]))
    return tf.reshape(tf.nn.bias_add(flat @ weights[f"{name}.weight"], weights[f"{name}.bias"]), (*x.shape[:-1], -1))


def _attention(tf: Any, weights: dict[str, Any], layer: int, x: Any) -> Any:
    parts = tf.split(_linear(tf, weights, f"{layer}.qkv", x), 3, axis=-1)
    query, key, value = (
        tf.transpose(tf.reshape(part, (ROWS, CONTEXT, HEADS, WIDTH // HEADS)), (0, 2, 1, 3)) for part in parts
    )
    mask = tf.constant(np.triu(np.full((CONTEXT, CONTEXT), -1e9, np.float32), 1))
    scores = tf.matmul(query, key, transpose_b=True) * (WIDTH // HEADS) ** -0.5 + mask
    mixed = tf.transpose(tf.nn.softmax(scores) @ value, (0, 2, 1, 3))
    return _linear(tf, weights, f"{layer}.out", tf.reshape(mixed, (ROWS, CONTEXT, WIDTH)))


def _loss(tf: Any, weights: dict[str, Any], inputs: Any, labels: Any) -> Any:
    x = tf.gather(weights["characters"], inputs) + weights["positions"]
    for layer in range(LAYERS):
        x += _attention(tf, weights, layer, _norm(tf, weights, f"{layer}.norm1", x))
        hidden = tf.nn.gelu(
            _linear(tf, weights, f"{layer}.up", _norm(tf, weights, f"{layer}.norm2", x)), approximate=False
        )
        x += _linear(tf, weights, f"{layer}.down", hidden)
    logits = tf.reshape(_linear(tf, weights, "head", _norm(tf, weights, "norm", x)), (ROWS * CONTEXT, VOCABULARY))
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def _step(tf: Any) -> Callable[[], Any]:
    """Return a step with AdamW, as a function of TensorFlow."""
    weights = _weights(tf)
    variables = list(weights.values())
    firsts, seconds = ([tf.Variable(tf.zeros_like(v)) for v in variables] for _ in range(2))
    count = tf.Variable(0.0)
    text = np.random.default_rng(0).integers(0, VOCABULARY, (ROWS, CONTEXT + 1)).astype(np.int32)
    inputs, labels = tf.constant(text[:, :-1]), tf.constant(text[:, 1:].flatten())

    @tf.function  # type: ignore[untyped-decorator, unused-ignore]
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = _loss(tf, weights, inputs, labels)
        count.assign_add(1.0)
        rate = 3e-4 * tf.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        for value, g, first, second in zip(variables, tape.gradient(loss, variables), firsts, seconds, strict=True):
            grad = tf.convert_to_tensor(g)
            first.assign(0.9 * first + 0.1 * grad)
            second.assign(0.999 * second + 0.001 * grad * grad)
            value.assign(value * (1 - 3e-4 * 0.01) - rate * first / (tf.sqrt(second) + 1e-8))
        return loss

    return step  # type: ignore[no-any-return, unused-ignore]


def _one_thread(tf: Any) -> Any:
    return tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)


def _serve_device(tf: Any) -> None:
    """Be the other process."""
    server = tf.distribute.Server({"worker": ["127.0.0.1:0"]}, config=_one_thread(tf))
    say(server.target)
    sys.stdin.read()
    os._exit(0)  # a TensorFlow server has no way to stop


def main() -> None:
    """Serve rounds, or say that TensorFlow is not installed."""
    try:
        import tensorflow as tf
    except ImportError:
        say({"missing": "tensorflow"})
        return
    if sys.argv[1:] == ["device"]:
        _serve_device(tf)
        return
    command = [sys.executable, "-m", "benchmarks.peers.tensorflow_gpt", "device"]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    address = other.stdout.readline().strip().strip('"').removeprefix("grpc://")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental_connect_to_host(address)
    with tf.device("/job:worker/replica:0/task:0/device:CPU:0"):
        step = _step(tf)

        def run() -> float:
            for _ in range(REPEATS):
                loss = step()
            return float(loss)

        run()
        serve(tf.__version__, run)


if __name__ == "__main__":
    main()
