"""`torch.testing`: comparing with tolerances that fit the dtype, in PyTorch's words; and random tensors for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradwire.conversion import fetch
from gradwire_protocol.dtypes import Category, DType, bfloat16, from_numpy

__all__ = ["assert_allclose", "assert_close", "make_tensor"]

# (rtol, atol) by the dtype of the parts; what is not here is compared exactly.
_TOLERANCES = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5),
    "complex128": (1e-7, 1e-7),
}
_NUMBERS = (bool, int, float, complex)


@dataclass(frozen=True, slots=True)
class _Options:
    rtol: float | None
    atol: float | None
    equal_nan: bool
    allow_subclasses: bool
    checked: tuple[str, ...]

    def tolerances(self, *names: str) -> tuple[float, float]:
        """Return the tolerances that were given, or the wider ones of some dtypes."""
        if self.rtol is not None and self.atol is not None:
            return self.rtol, self.atol
        found = [_TOLERANCES.get(name, (0.0, 0.0)) for name in names]
        return max(rtol for rtol, _ in found), max(atol for _, atol in found)


class _Difference(Exception):
    """What differs, and the error class that PyTorch raises for it."""

    def __init__(self, kind: type[Exception], message: str) -> None:
        super().__init__(message)
        self.kind = kind


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise AssertionError unless `|actual - expected| <= atol + rtol * |expected|` everywhere.

    Tensors, numpy arrays, numbers, None, and sequences and mappings of these. Waits for both. The tolerances depend on the
    dtype unless both are given; integers and bools are compared exactly. `msg` replaces the message, or makes another of
    it. Raises TypeError for a pair that cannot be compared.
    """
    if (rtol is None) != (atol is None):
        raise ValueError(
            "Both 'rtol' and 'atol' must be either specified or omitted, but got no "
            f"{'rtol' if rtol is None else 'atol'}."
        )
    flags = {"device": check_device, "dtype": check_dtype, "layout": check_layout, "stride": check_stride}
    checked = tuple(name for name, wanted in flags.items() if wanted)
    options = _Options(rtol, atol, equal_nan, allow_subclasses, checked)
    try:
        _compare(actual, expected, options, "")
    except _Difference as difference:
        text = str(difference)
        if msg is not None and difference.kind is AssertionError:
            text = msg(text) if callable(msg) else msg
        raise difference.kind(text) from None


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str = "",
) -> None:
    """Raise AssertionError unless close: the deprecated form of `assert_close`, with wider tolerances and no check of dtypes."""
    from gradwire.tensor import Tensor

    if not isinstance(actual, Tensor):
        actual = _tensor(actual)
    if not isinstance(expected, Tensor):
        expected = _tensor(expected, dtype=actual.dtype)
    if rtol is None and atol is None:
        wider = {"float16": (1e-3, 1e-3), "float32": (1e-4, 1e-5), "float64": (1e-5, 1e-8)}
        found = [wider.get(tensor.dtype.name, (0.0, 0.0)) for tensor in (actual, expected)]
        rtol, atol = max(pair[0] for pair in found), max(pair[1] for pair in found)
    assert_close(
        actual,
        expected,
        rtol=rtol,
        atol=atol,
        equal_nan=equal_nan,
        check_device=True,
        check_dtype=False,
        check_stride=False,
        msg=msg or None,
    )


def _tensor(value: Any, dtype: DType | None = None) -> Any:
    from gradwire.creation import tensor

    return tensor(value, dtype=dtype)


# ---------------------------------------------------------------- pairs
def _compare(actual: Any, expected: Any, options: _Options, place: str) -> None:
    if _are(Mapping, actual, expected):
        _compare_mappings(actual, expected, options, place)
    elif _are(Sequence, actual, expected) and not _are(str, actual, expected):
        _compare_sequences(actual, expected, options, place)
    else:
        try:
            _compare_values(actual, expected, options)
        except _Difference as difference:
            where = f"\n\nThe failure occurred for item {place}" if place else ""
            raise _Difference(difference.kind, f"{difference}{where}") from None


def _are(kind: type[Any], actual: Any, expected: Any) -> bool:
    return isinstance(actual, kind) and isinstance(expected, kind)


def _compare_mappings(actual: Any, expected: Any, options: _Options, place: str) -> None:
    if actual.keys() != expected.keys():
        raise _Difference(
            AssertionError,
            "The keys of the mappings do not match:\n"
            f"Missing keys in the actual mapping: {sorted(expected.keys() - actual.keys(), key=str)}\n"
            f"Additional keys in the actual mapping: {sorted(actual.keys() - expected.keys(), key=str)}",
        )
    for key in actual:
        _compare(actual[key], expected[key], options, f"{place}[{key!r}]")


def _compare_sequences(actual: Any, expected: Any, options: _Options, place: str) -> None:
    if len(actual) != len(expected):
        raise _Difference(AssertionError, f"The length of the sequences mismatch: {len(actual)} != {len(expected)}")
    for index, pair in enumerate(zip(actual, expected, strict=True)):
        _compare(*pair, options, f"{place}[{index}]")


def _compare_values(actual: Any, expected: Any, options: _Options) -> None:
    from gradwire.tensor import Tensor

    subclass = type(actual) is not type(expected) and not options.allow_subclasses
    if _are(Tensor, actual, expected) and not subclass:
        _compare_tensors(actual, expected, options)
    elif _are(np.ndarray, actual, expected):
        _compare_attributes(options, {"shape": (actual.shape, expected.shape), "dtype": (actual.dtype, expected.dtype)})
        _compare_elements(actual, expected, options, from_numpy(actual.dtype), from_numpy(expected.dtype))
    elif actual is None and expected is None:
        return
    elif _are(bool, actual, expected):
        if actual is not expected:
            raise _Difference(AssertionError, f"Booleans mismatch: {actual} is not {expected}")
    elif isinstance(actual, _NUMBERS) and isinstance(expected, _NUMBERS):
        _compare_numbers(actual, expected, options)
    else:
        raise _Difference(
            TypeError, f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}."
        )


def _compare_attributes(options: _Options, pairs: dict[str, tuple[Any, Any]]) -> None:
    for name, (actual, expected) in pairs.items():
        if (name == "shape" or name in options.checked) and actual != expected:
            shown = "stride()" if name == "stride" else name
            raise _Difference(
                AssertionError, f"The values for attribute '{shown}' do not match: {actual} != {expected}."
            )


def _compare_tensors(actual: Any, expected: Any, options: _Options) -> None:
    names = ("shape", "device", "dtype", "layout")
    pairs = {name: (getattr(actual, name), getattr(expected, name)) for name in names}
    _compare_attributes(options, {**pairs, "stride": (actual.stride(), expected.stride())})
    # bfloat16, which numpy lacks, in float32: that holds it exactly.
    pair = [tensor.detach() for tensor in (actual, expected)]
    first, second = (fetch(tensor.float() if tensor.dtype is bfloat16 else tensor) for tensor in pair)
    _compare_elements(first, second, options, actual.dtype, expected.dtype)


def _compare_numbers(actual: Any, expected: Any, options: _Options) -> None:
    if "dtype" in options.checked and type(actual) is not type(expected):
        raise _Difference(AssertionError, f"The (d)types do not match: {type(actual)} != {type(expected)}.")
    names = {bool: "bool", int: "int64", float: "float64", complex: "complex128"}
    rtol, atol = options.tolerances(
        *(names[kind] for value in (actual, expected) for kind in names if type(value) is kind)
    )
    if not _is_close(np.asarray(actual), np.asarray(expected), rtol, atol, options.equal_nan).all():
        raise _Difference(AssertionError, _scalar_words(actual, expected, rtol, atol))


def _compare_elements(actual: Any, expected: Any, options: _Options, *dtypes: DType) -> None:
    rtol, atol = options.tolerances(*(dtype.name for dtype in dtypes))
    matches = _is_close(actual, expected, rtol, atol, options.equal_nan)
    if matches.all():
        return
    if actual.shape == ():
        raise _Difference(AssertionError, _scalar_words(actual.item(), expected.item(), rtol, atol))
    raise _Difference(AssertionError, _tensor_words(actual, expected, matches, rtol, atol))


def _is_close(actual: Any, expected: Any, rtol: float, atol: float, equal_nan: bool) -> Any:
    same = actual == expected
    if equal_nan:
        same = same | ((actual != actual) & (expected != expected))
    if rtol == atol == 0:
        return same
    wide = np.complex128 if np.iscomplexobj(actual) or np.iscomplexobj(expected) else np.float64
    with np.errstate(all="ignore"):
        a, e = actual.astype(wide), expected.astype(wide)
        return same | (np.isfinite(e) & (np.abs(a - e) <= atol + np.abs(rtol * e)))


# ---------------------------------------------------------------- words
def _allowed(tolerance: float, exact: bool) -> str:
    return "" if exact else f" (up to {tolerance} allowed)"


def _scalar_words(actual: Any, expected: Any, rtol: float, atol: float) -> str:
    exact = rtol == atol == 0
    difference = abs(actual - expected)
    relative = float("inf") if expected == 0 else difference / abs(expected)
    return (
        f"Scalars are not {'equal' if exact else 'close'}!\n\nExpected {expected} but got {actual}.\n"
        f"Absolute difference: {difference}{_allowed(atol, exact)}\n"
        f"Relative difference: {relative}{_allowed(rtol, exact)}"
    )


def _tensor_words(actual: Any, expected: Any, matches: Any, rtol: float, atol: float) -> str:
    exact, total, mismatched = rtol == atol == 0, matches.size, int((~matches).sum())
    integral = actual.dtype.kind in "biu"
    if integral:
        actual, expected = actual.astype(np.int64), expected.astype(np.int64)
    with np.errstate(all="ignore"):
        difference = np.where(matches, 0, np.abs(actual - expected))
        # PyTorch divides integers in its default dtype.
        divided = difference.astype(np.float32) / np.abs(expected).astype(np.float32) if integral else None
        relative = np.where(matches, 0, difference / np.abs(expected) if divided is None else divided)
    lines = [f"Tensor-likes are not {'equal' if exact else 'close'}!\n"]
    lines.append(f"Mismatched elements: {mismatched} / {total} ({mismatched / total:.1%})")
    for name, values, tolerance in (("absolute", difference, atol), ("relative", relative, rtol)):
        index = tuple(int(place) for place in np.unravel_index(np.argmax(values), values.shape))
        lines.append(f"Greatest {name} difference: {values[index].item()} at index {index}{_allowed(tolerance, exact)}")
    return "\n".join(lines)


# ---------------------------------------------------------------- random tensors
def make_tensor(
    *shape: Any,
    dtype: DType,
    device: Any,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Any:
    """Return uniform random values of any dtype from [low, high), by default [-9, 9) as far as the dtype has it.

    `noncontiguous` gives every second element of a tensor twice as long; `exclude_zero` replaces zeros by the smallest
    normal number, or by 1 for integers.
    """
    from gradwire import limits_info, stack, where
    from gradwire.memory import check_memory_format

    sizes = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    check_memory_format("make_tensor", memory_format, len(sizes))
    if noncontiguous and memory_format is not None:
        raise ValueError(
            f"The parameters `noncontiguous` and `memory_format` are mutually exclusive, but got noncontiguous={noncontiguous} "
            f"and memory_format={memory_format!r}"
        )
    made = _random(sizes, dtype, device, *_bounds(dtype, low, high))
    if noncontiguous and made.numel() > 1:
        made = stack([made, made], -1)[..., 0]
    if exclude_zero:
        replacement = 1 if dtype.category <= Category.INT else limits_info.finfo(dtype).tiny
        made = where(made == 0, _tensor(replacement, dtype), made)
    return made.requires_grad_(True) if requires_grad else made


def _bounds(dtype: DType, low: float | None, high: float | None) -> tuple[float, float]:
    if dtype.name == "bool":
        default = (0, 2)
    elif dtype.category is Category.INT:
        default = (-9, 10) if dtype.is_signed else (0, 10)
    else:
        default = (-9, 9)
    bounds = (default[0] if low is None else low, default[1] if high is None else high)
    if bounds[0] > bounds[1] or any(bound != bound for bound in bounds):
        raise ValueError(f"make_tensor: low must be weakly less than high, but got {bounds[0]} and {bounds[1]}")
    return bounds


def _random(sizes: tuple[int, ...], dtype: DType, device: Any, low: float, high: float) -> Any:
    from gradwire import random
    from gradwire_protocol.dtypes import complex64, float32, float64

    if dtype.category <= Category.INT:
        drawn = random.randint(int(np.ceil(low)), max(int(np.ceil(high)), int(np.ceil(low)) + 1), sizes, device=device)
        return drawn.to(dtype)
    if dtype.is_complex:
        part = float32 if dtype is complex64 else float64
        parts = random.rand(*sizes, 2, dtype=part, device=device) * (high - low) + low
        return parts.select(-1, 0) + parts.select(-1, 1) * _tensor(1j, dtype)
    return (random.rand(*sizes, dtype=float64, device=device) * (high - low) + low).to(dtype)
