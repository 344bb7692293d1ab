"""Padding layers and the refusals of `F.pad`; values and gradients are compared by op_db and tests/ops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

NUMPY_MODES = {
    "Constant": "constant",
    "Zero": "constant",
    "Reflection": "reflect",
    "Replication": "edge",
    "Circular": "wrap",
}


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("kind", list(NUMPY_MODES))
def test_layers(t: Any, kind: str, dims: int) -> None:
    value = {"Constant": (2.5,)}.get(kind, ())
    make = getattr(t.nn, f"{kind}Pad{dims}d")
    sizes = (3, 4, 5)[:dims]
    x = np.arange(2.0 * np.prod(sizes)).reshape(1, 2, *sizes)
    fill = {"constant_values": value[0] if value else 0} if NUMPY_MODES[kind] == "constant" else {}
    for padding in (1, tuple((1, 2, 0, 1, 2, 1)[: 2 * dims])):
        layer = make(padding, *value)
        pairs = (padding,) * 2 * dims if isinstance(padding, int) else padding
        widths = [(0, 0), (0, 0), *list(zip(pairs[::2], pairs[1::2], strict=True))[::-1]]
        np.testing.assert_array_equal(layer(t.tensor(x)).numpy(), np.pad(x, widths, NUMPY_MODES[kind], **fill))
        shown = f"padding={pairs}, value=2.5" if value else str(pairs)
        assert repr(layer) == f"{kind}Pad{dims}d({shown})"


def test_circular_padding_is_differentiable(t: Any) -> None:
    x = t.tensor([[[1.0, 2.0, 3.0]]], requires_grad=True)
    out = t.nn.functional.pad(x, (2, 1), mode="circular")
    (out * t.arange(6.0)).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[[2.0 + 5.0, 0.0 + 3.0, 1.0 + 4.0]]])


@pytest.mark.parametrize(
    ("shape", "pad", "mode", "value", "error", "match"),
    [
        ((3,), (1,), "constant", None, RuntimeError, "Padding length must be divisible by 2"),
        ((3,), (1, 1, 1, 1), "constant", None, RuntimeError, "less than or equal to two times the input dimension"),
        ((3,), (1, 1), "mirror", None, NotImplementedError, "Unrecognised padding mode mirror"),
        ((3,), (1, 1), "reflect", None, NotImplementedError, "Padding size 2 is not supported for 1D input tensor"),
        ((3, 4), (1, 1), "reflect", 1.0, RuntimeError, 'Padding mode "reflect" doesn\'t take in value argument'),
        ((3, 4), (5, 1), "circular", None, RuntimeError, "wrapping around more than once"),
        ((3, 4), (-3, -2), "circular", None, RuntimeError, "resulting in an empty dimension"),
        ((3, 4), (4, 1), "reflect", None, RuntimeError, "Padding size should be less than the corresponding"),
        ((3, 4), (1, 1), "constant", 1j, TypeError, "must be float, not complex"),
    ],
)
def test_refusals(t: Any, shape: Any, pad: Any, mode: str, value: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        t.nn.functional.pad(t.zeros(shape), pad, mode=mode, value=value)


def test_what_an_integer_tensor_cannot_hold_is_refused(t: Any) -> None:
    with pytest.raises(RuntimeError, match="without overflow"):
        t.nn.functional.pad(t.zeros(2, dtype=t.uint8), (1, 1), value=300)
