"""`torch.random`, and the functions that make random tensors: `rand`, `randn`, `randint`, `randperm`, `normal`, ...

No call waits: the client's generator gives the place in the stream (see `generators`), and the worker draws.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gradwire.generators import (
    Generator,
    default_generator,
    fork_rng,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
    use_in_this_thread,
)
from gradwire.memory import check_memory_format, strided
from gradwire.random_methods import (
    RandomMethods,
    _sample_dirichlet,
    _standard_gamma,
    bernoulli,
    binomial,
    dropout,
    multinomial,
    poisson,
)
from gradwire.sparse_methods import check_dense
from gradwire.workers import place
from gradwire_protocol.dtypes import DType, bool_, complex64, float32, float64, int64
from gradwire_protocol.infer import broadcast_shapes
from gradwire_protocol.ops import OPS
from gradwire_protocol.registry import torch_type_name

if TYPE_CHECKING:
    from gradwire.tensor import Tensor

__all__ = [
    "Generator", "RandomMethods", "_sample_dirichlet", "_standard_gamma", "bernoulli", "binomial", "default_generator",
    "dropout", "fork_rng", "get_rng_state", "initial_seed", "manual_seed", "multinomial", "normal", "poisson", "rand",
    "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm", "seed", "set_rng_state",
    "use_in_this_thread",
]  # fmt: skip


def _drawn(
    name: str,
    size: tuple[int, ...],
    dtype: DType,
    generator: Generator | None,
    requires_grad: bool,
    device: Any,
    *numbers: int,
) -> Tensor:
    from gradwire.creation import finish
    from gradwire.tensor import call

    count = 1
    for axis in size:
        count *= axis
    drawn = (generator or default_generator).take(max(count, 0))
    return finish(call(OPS[name], size, *numbers, *drawn, dtype, session=place(device)), requires_grad, device)


def _size(size: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size


def _noise(
    name: str, kernel: str, size: tuple[int, ...], dtype: DType | None, generator: Generator | None, *options: Any
) -> Tensor:
    """Draw floating or complex numbers; the parts of a complex one are two draws."""
    from gradwire.tensor import get_default_dtype

    dtype = dtype or get_default_dtype()
    if dtype.is_floating_point:
        return _drawn(name, size, dtype, generator, *options)
    if not dtype.is_complex:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{torch_type_name(dtype)}'")
    parts = _drawn(name, (*size, 2), float32 if dtype is complex64 else float64, generator, False, options[1])
    made: Tensor = (parts * math.sqrt(0.5) if name == "gw::normal" else parts).view_as_complex()
    return made.requires_grad_(True) if options[0] else made


def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return numbers from [0, 1)."""
    return _noise("gw::uniform", "check_uniform_bounds", _size(size), dtype, generator, requires_grad, device)


def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return numbers from the standard normal distribution."""
    return _noise("gw::normal", "normal_kernel_cpu", _size(size), dtype, generator, requires_grad, device)


def randint(
    low: Any = None, high: Any = None, size: Any = None, *, generator: Generator | None = None, dtype: DType | None = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Return integers from [low, high). Forms: `randint(high, size)`, `randint(low, high, size)`, also by keyword."""
    if size is None:
        low, high, size = None, low, high
    low, high = (0, low) if high is None else (low or 0, high)
    if size is None or high is None:
        raise TypeError("randint() needs a size: randint(high, size) or randint(low, high, size)")
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    return _drawn("gw::integers", tuple(size), dtype or int64, generator, requires_grad, device, low, high)


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return the numbers below n in random order."""
    from gradwire.creation import finish
    from gradwire.tensor import call

    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
    if dtype is bool_ or (dtype is not None and dtype.is_complex):
        raise NotImplementedError(f"\"randperm\" not implemented for '{torch_type_name(dtype)}'")
    drawn = (generator or default_generator).take(n)
    return finish(call(OPS["gw::permutation"], n, *drawn, dtype or int64, session=place(device)), requires_grad, device)


def rand_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Return numbers from [0, 1) in the shape and dtype of `input`."""
    check_dense("rand_like", input)
    check_memory_format("rand_like", memory_format, input.dim())
    dtype, device = dtype or input.dtype, device or input.device
    return rand(*input.shape, generator=generator, dtype=dtype, device=device, requires_grad=requires_grad)


def randn_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Return standard normal numbers in the shape and dtype of `input`."""
    check_dense("randn_like", input)
    check_memory_format("randn_like", memory_format, input.dim())
    dtype, device = dtype or input.dtype, device or input.device
    return randn(*input.shape, generator=generator, dtype=dtype, device=device, requires_grad=requires_grad)


def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Return integers from [low, high), or [0, low), in the shape and dtype of `input`."""
    check_dense("randint_like", input)
    check_memory_format("randint_like", memory_format, input.dim())
    first, end = (0, low) if high is None else (low, high)
    options: dict[str, Any] = {
        "dtype": dtype or input.dtype, "device": device or input.device, "requires_grad": requires_grad,
    }  # fmt: skip
    return randint(first, end, tuple(input.shape), generator=generator, **options)


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """Return normal numbers: `normal(mean, std, size)` of numbers, or of tensors that broadcast, with no gradient to them."""
    if not hasattr(mean, "meta") and not hasattr(std, "meta"):
        if size is None:
            raise TypeError("normal() needs a size where mean and std are numbers")
        _check_memory(layout, pin_memory)
        from gradwire.creation import empty

        made: Tensor = empty(*_size((size,)), dtype=dtype, device=device).normal_(mean, std, generator=generator)
        return made.requires_grad_(True) if requires_grad else made
    if size is not None or dtype is not None or device is not None or requires_grad:
        raise TypeError("normal() takes size, dtype, device and requires_grad only where mean and std are numbers")
    return _normal_around(mean, std, generator or default_generator)


def _check_memory(layout: Any, pin_memory: bool) -> None:
    if layout not in (None, strided) or pin_memory:
        raise RuntimeError(
            f"random numbers need strided memory on a worker; got layout={layout}, pin_memory={pin_memory}"
        )


def _check_deviation(std: float) -> None:
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")


def _normal_around(mean: Any, std: Any, generator: Generator) -> Tensor:
    """Draw around tensors; numbers among two tensors' parameters stay numbers."""
    parameters = [value for value in (mean, std) if hasattr(value, "meta")]
    if parameters[0].meta.dtype.is_complex:
        raise NotImplementedError(
            "normal needs real means and deviations; draw randn of the complex dtype and scale it"
        )
    shape = broadcast_shapes(*[value.meta.shape for value in parameters])
    if len(parameters) == 2:
        name = "gw::normal_around"
    elif parameters[0] is mean:
        _check_deviation(std)
        name, std = "gw::normal_with_mean", float(std)
    else:
        name, mean = "gw::normal_with_std", float(mean)
    made: Tensor = OPS[name](mean, std, *generator.take(math.prod(shape)))
    return made
