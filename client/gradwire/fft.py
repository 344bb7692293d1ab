"""Discrete Fourier transforms, as in `torch.fft`. Integers count as floats of the default dtype."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradwire.autocasting import cast_named
from gradwire.creation import arange
from gradwire.tensor import Tensor, expect_tensor, get_default_dtype
from gradwire_protocol.infer import normalize_dim
from gradwire_protocol.ops import OPS
from gradwire_protocol.ops.complex import complex_of
from gradwire_protocol.registry import torch_type_name

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft",
    "ihfft2", "ihfftn", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip

_C2C, _R2C, _C2R = OPS["_fft_c2c"], OPS["_fft_r2c"], OPS["_fft_c2r"]
Sizes = Sequence[int] | None


def _normalization(norm: str | None, forward: bool) -> int:
    """Return 0 for none, 1 for the root of the number of points, 2 for that number."""
    if norm == "ortho":
        return 1
    if norm in (None, "backward"):
        return 0 if forward else 2
    if norm == "forward":
        return 2 if forward else 0
    raise RuntimeError(f'Invalid normalization mode: "{norm}"')


def _floating(name: str, input: Tensor, is_complex: bool) -> Tensor:
    """Return the input in a floating dtype, a complex one if asked."""
    input = cast_named("_fft_c2c", expect_tensor(name, input))
    dtype = input.meta.dtype
    if dtype.name in ("float16", "bfloat16"):
        raise RuntimeError(f"Unsupported dtype {torch_type_name(dtype)}")
    if not dtype.is_floating_point and not dtype.is_complex:
        input = input.to(get_default_dtype())
    return input.to(complex_of(input.meta.dtype)) if is_complex else input


def _resized(input: Tensor, sizes: Sequence[int], dims: Sequence[int]) -> Tensor:
    """Cut, or fill up with zeros, to the sizes along dims; -1 keeps a size."""
    for size, dim in zip(sizes, dims, strict=True):
        have = input.shape[dim]
        if size == -1 or size == have:
            continue
        if size < 1:
            raise RuntimeError(f"Invalid number of data points ({size}) specified")
        if size < have:
            input = input.narrow(dim, 0, size)
        else:
            padding = list(input.shape)
            padding[dim] = size - have
            input = OPS["cat"]([input, input.new_zeros(padding)], dim)
    return input


def _one(input: Tensor, n: int | None, dim: int) -> tuple[list[int], list[int]]:
    if n is not None and n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")
    axis = normalize_dim(dim, input.dim())
    if input.dim() == 0:
        raise IndexError("Dimension specified as -1 but tensor has no dimensions")
    return [-1 if n is None else n], [axis]


def _several(input: Tensor, s: Sizes, dim: Sequence[int] | int | None) -> tuple[list[int], list[int]]:
    dim = (dim,) if isinstance(dim, int) else dim
    s = (s,) if isinstance(s, int) else s
    if dim is None:
        count = input.dim() if s is None else len(s)
        if count > input.dim():
            raise RuntimeError(f"Got shape with {count} values but input tensor only has {input.dim()} dimensions.")
        dims = list(range(input.dim() - count, input.dim()))
    else:
        dims = [normalize_dim(axis, input.dim()) for axis in dim]
    if len(set(dims)) != len(dims):
        raise RuntimeError("FFT dims must be unique")
    if s is not None and len(s) != len(dims):
        raise RuntimeError("When given, dim and shape arguments must have the same length")
    for size in s or ():
        if size < 1 and size != -1:
            raise RuntimeError(f"Invalid number of data points ({size}) specified")
    return ([-1] * len(dims) if s is None else list(s)), dims


# ---------------------------------------------------------------- the four kinds, on resolved sizes and dims
def _complex(name: str, input: Tensor, sizes: list[int], dims: list[int], norm: str | None, forward: bool) -> Tensor:
    values = _resized(_floating(name, input, True), sizes, dims)
    if not dims:
        return values
    made: Tensor = _C2C(values, tuple(dims), _normalization(norm, forward), forward)
    return made


def _from_real(name: str, input: Tensor, sizes: list[int], dims: list[int], norm: str | None, forward: bool) -> Tensor:
    if expect_tensor(name, input).is_complex():
        raise RuntimeError(f"{name} expects a real input tensor, but got {_word(input)}")
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    values = _resized(_floating(name, input, False), sizes, dims)
    made: Tensor = _R2C(values, tuple(dims), _normalization(norm, forward), True)
    return made if forward else made.conj()


def _to_real(name: str, input: Tensor, sizes: list[int], dims: list[int], norm: str | None, forward: bool) -> Tensor:
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    values = _floating(name, input, True)
    last = sizes[-1] if sizes[-1] != -1 else 2 * (values.shape[dims[-1]] - 1)
    if last < 1:
        raise RuntimeError(f"Invalid number of data points ({last}) specified")
    values = _resized(values, [*sizes[:-1], last // 2 + 1], dims)
    if forward:
        values = values.conj()
    made: Tensor = _C2R(values, tuple(dims), _normalization(norm, forward), last)
    return made


def _word(input: Tensor) -> str:
    return {"complex64": "ComplexFloat", "complex128": "ComplexDouble"}.get(
        input.meta.dtype.name, input.meta.dtype.name
    )


def _family(name: str, run: Callable[..., Tensor], forward: bool) -> tuple[Any, Any, Any]:
    """Return the transforms over one dim, two and any number."""

    def one(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
        return run(name, input, *_one(expect_tensor(name, input), n, dim), norm, forward)

    def two(input: Tensor, s: Sizes = None, dim: Sequence[int] = (-2, -1), norm: str | None = None) -> Tensor:
        return run(f"{name}2", input, *_several(expect_tensor(name, input), s, dim), norm, forward)

    def any_number(input: Tensor, s: Sizes = None, dim: Sequence[int] | None = None, norm: str | None = None) -> Tensor:
        return run(f"{name}n", input, *_several(expect_tensor(name, input), s, dim), norm, forward)

    for function, suffix in ((one, ""), (two, "2"), (any_number, "n")):
        function.__name__ = function.__qualname__ = name + suffix
        function.__doc__ = f"Return `torch.fft.{name}{suffix}`: `norm` is backward (default), ortho or forward."
    return one, two, any_number


fft, fft2, fftn = _family("fft", _complex, True)
ifft, ifft2, ifftn = _family("ifft", _complex, False)
rfft, rfft2, rfftn = _family("rfft", _from_real, True)
irfft, irfft2, irfftn = _family("irfft", _to_real, False)
hfft, _, _ = _family("hfft", _to_real, True)
ihfft, _, _ = _family("ihfft", _from_real, False)


def hfftn(input: Tensor, s: Sizes = None, dim: Sequence[int] | None = None, norm: str | None = None) -> Tensor:
    """Transform a Hermitian half to real numbers: forward along all dims, the last one from its half."""
    sizes, dims = _several(expect_tensor("hfftn", input), s, dim)
    if not dims:
        raise RuntimeError("hfftn must transform at least one axis")
    last = sizes[-1] if sizes[-1] != -1 else 2 * (input.shape[dims[-1]] - 1)
    if last < 1:
        raise RuntimeError(f"Invalid number of data points ({last}) specified")
    values = _resized(_floating("hfftn", input, True), [*sizes[:-1], last // 2 + 1], dims)
    if len(dims) > 1:
        values = _C2C(values, tuple(dims[:-1]), _normalization(norm, True), True)
    made: Tensor = _C2R(values.conj(), (dims[-1],), _normalization(norm, True), last)
    return made


def ihfftn(input: Tensor, s: Sizes = None, dim: Sequence[int] | None = None, norm: str | None = None) -> Tensor:
    """Undo `hfftn`."""
    sizes, dims = _several(expect_tensor("ihfftn", input), s, dim)
    if not dims:
        raise RuntimeError("ihfftn must transform at least one axis")
    half = _from_real("ihfftn", _resized(input, sizes, dims), [-1], [dims[-1]], norm, False)
    if len(dims) > 1:
        half = _C2C(half, tuple(dims[:-1]), _normalization(norm, False), False)
    return half


def hfft2(input: Tensor, s: Sizes = None, dim: Sequence[int] = (-2, -1), norm: str | None = None) -> Tensor:
    """Return `hfftn` over two dims."""
    return hfftn(input, s, dim, norm)


def ihfft2(input: Tensor, s: Sizes = None, dim: Sequence[int] = (-2, -1), norm: str | None = None) -> Tensor:
    """Return `ihfftn` over two dims."""
    return ihfftn(input, s, dim, norm)


# ---------------------------------------------------------------- helpers
def fftfreq(n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Return the frequencies of `fft`'s n entries, in cycles per `d`."""
    ordered: Any = arange(n, dtype=dtype or get_default_dtype(), device=device)
    ordered[n // 2 + n % 2 :] -= n
    made: Tensor = (ordered * (1.0 / (n * d))).requires_grad_(requires_grad)
    return made


def rfftfreq(n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Return the frequencies of `rfft`'s entries, in cycles per `d`."""
    ordered: Any = arange(n // 2 + 1, dtype=dtype or get_default_dtype(), device=device)
    made: Tensor = (ordered * (1.0 / (n * d))).requires_grad_(requires_grad)
    return made


def _shifted(input: Tensor, dim: Sequence[int] | int | None, sign: int) -> Tensor:
    dims = range(input.dim()) if dim is None else (dim,) if isinstance(dim, int) else dim
    shifts = [(input.shape[axis] + (sign < 0)) // 2 for axis in dims]
    return input.roll(shifts, list(dims))


def fftshift(input: Tensor, dim: Sequence[int] | int | None = None) -> Tensor:
    """Move the zero frequency to the middle."""
    return _shifted(expect_tensor("fftshift", input), dim, 1)


def ifftshift(input: Tensor, dim: Sequence[int] | int | None = None) -> Tensor:
    """Undo `fftshift`."""
    return _shifted(expect_tensor("ifftshift", input), dim, -1)
