"""Functions whose first argument may be, or is, a number."""

from __future__ import annotations

from typing import Any

from gradwire.tensor import Tensor, expect_tensor
from gradwire_protocol.ops import OPS

__all__ = [
    "bitwise_and", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "float_power", "polygamma", "pow",
    "remainder", "xlogy",
]  # fmt: skip


def pow(input: Any, exponent: Any) -> Any:
    """Raise to a power; one of the two may be a number."""
    return (
        input.pow(exponent) if isinstance(input, Tensor) else OPS["pow.Scalar"](input, expect_tensor("pow", exponent))
    )


def float_power(input: Any, exponent: Any) -> Any:
    """Raise to a power in float64, or complex128; one of the two may be a number."""
    if isinstance(input, Tensor):
        return input.float_power(exponent)
    exponent = expect_tensor("float_power", exponent)
    wide = exponent.cdouble() if exponent.dtype.is_complex or isinstance(input, complex) else exponent.double()
    return OPS["pow.Scalar"](input, wide)


def remainder(input: Any, other: Any) -> Any:
    """Compute the remainder that has the sign of `other`; one of the two may be a number."""
    if isinstance(input, Tensor):
        return input.remainder(other)
    return OPS["remainder.Scalar_Tensor"](input, expect_tensor("remainder", other))


def xlogy(input: Any, other: Any) -> Any:
    """Compute input * log(other), and 0 where `input` is 0; one of the two may be a number."""
    if isinstance(input, Tensor):
        return input.xlogy(other)
    return OPS["xlogy.Scalar_Self"](input, expect_tensor("xlogy", other))


def polygamma(n: int, input: Tensor) -> Any:
    """Compute the nth derivative of `digamma`."""
    return expect_tensor("polygamma", input).polygamma(n)


def _bits(name: str, input: Any, other: Any) -> Any:
    """Call an op on bits; a number on the left becomes a 0-dim tensor that promotes as the number would."""
    if isinstance(input, Tensor):
        return getattr(input, name)(other)
    other = expect_tensor(name, other)
    return OPS[f"{name}.Tensor"](OPS["gw::number_for"](other, input), other)


def bitwise_and(input: Any, other: Any) -> Any:
    """Combine the bits that both have; one of the two may be a number."""
    return _bits("bitwise_and", input, other)


def bitwise_or(input: Any, other: Any) -> Any:
    """Combine the bits that either has; one of the two may be a number."""
    return _bits("bitwise_or", input, other)


def bitwise_xor(input: Any, other: Any) -> Any:
    """Combine the bits that just one has; one of the two may be a number."""
    return _bits("bitwise_xor", input, other)


def bitwise_left_shift(input: Any, other: Any) -> Any:
    """Multiply by 2^other; one of the two may be a number."""
    return _bits("bitwise_left_shift", input, other)


def bitwise_right_shift(input: Any, other: Any) -> Any:
    """Divide by 2^other, rounding down; one of the two may be a number."""
    return _bits("bitwise_right_shift", input, other)
