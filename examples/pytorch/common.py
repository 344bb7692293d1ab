"""What the scripts here share: real data that needs no download, and initial weights that no random generator decides.

PyTorch and gradwire draw different random numbers from the same seed, so the scripts take theirs from numpy: then both
follow the same curve, which tests/system/test_scripts.py compares step by step.
"""

import numpy as np
import torch
from sklearn.datasets import load_digits

TEXT = """The Zen of Python, by Tim Peters. Beautiful is better than ugly. Explicit is better than implicit. Simple is better
than complex. Complex is better than complicated. Flat is better than nested. Sparse is better than dense. Readability
counts. Special cases aren't special enough to break the rules. Although practicality beats purity. Errors should never
pass silently. Unless explicitly silenced. In the face of ambiguity, refuse the temptation to guess. There should be one--
and preferably only one --obvious way to do it. Although that way may not be obvious at first unless you're Dutch. Now is
better than never. Although never is often better than *right* now. If the implementation is hard to explain, it's a bad
idea. If the implementation is easy to explain, it may be a good idea. Namespaces are one honking great idea -- let's do
more of those!"""


def digits(count=512):
    """Return images (count, 1, 8, 8) in [0, 1] and their classes."""
    data = load_digits()
    images = torch.from_numpy(data.images[:count].astype(np.float32) / 16).unsqueeze(1)
    return images, torch.from_numpy(data.target[:count].astype(np.int64))


def characters():
    """Return the text as a vector of indices, and the number of different characters."""
    alphabet = sorted(set(TEXT))
    return torch.tensor([alphabet.index(character) for character in TEXT]), len(alphabet)


def batches(length, size, epochs=1, seed=0):
    """Yield index arrays in an order that numpy decides."""
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(length)
        for start in range(0, length - size + 1, size):
            yield torch.from_numpy(order[start : start + size])


def windows(data, length, size, steps, seed=0):
    """Yield `steps` batches of text (size, length) and the characters that follow."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        starts = rng.integers(0, len(data) - length - 1, size).tolist()
        x = torch.stack([data[start : start + length] for start in starts])
        y = torch.stack([data[start + 1 : start + 1 + length] for start in starts])
        yield x, y


def noise(*shape, seed=0):
    """Return normal numbers that numpy drew."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def fill(module, seed=0):
    """Give every parameter values that numpy drew, in the usual size, and return the module."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            fan = parameter[0].numel() if parameter.dim() > 1 else parameter.numel()
            if parameter.dim() == 1:
                values = (
                    rng.uniform(0.9, 1.1, parameter.shape)
                    if (parameter != 0).any() and (parameter == 1).all()
                    else (rng.uniform(-0.1, 0.1, parameter.shape))
                )
            else:
                values = rng.uniform(-1, 1, parameter.shape) / fan**0.5
            parameter.copy_(torch.from_numpy(values).to(parameter.dtype))
    return module


def report(step, loss):
    """Print one point of the curve."""
    print(f"step {step} loss {float(loss):.6f}", flush=True)
