"""Generators: the client owns the state (seed, offset), and sends both with each random call.

So the numbers depend on nothing but the seed and the calls before, on any worker of a kind, and a replay draws them again.
"""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gradwire.memory import check_memory_format
from gradwire_protocol.dtypes import DType, int64, uint8
from gradwire_protocol.ops import OPS
from gradwire_protocol.random import blocks_for

if TYPE_CHECKING:
    from gradwire.tensor import Tensor

__all__ = [
    "Generator", "RandomMethods", "default_generator", "dropout", "get_rng_state", "initial_seed", "manual_seed", "normal",
    "rand", "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm", "seed", "set_rng_state",
]  # fmt: skip

_WORD = 1 << 64


def _signed(value: int) -> int:
    """Return the signed integer of the same 64 bits, as the wire's columns hold it."""
    value %= _WORD
    return value - _WORD if value >= _WORD // 2 else value


class Generator:
    """A seed and how many blocks of its stream were drawn."""

    def __init__(self, device: Any = "cpu") -> None:
        """Start at PyTorch's default seed. The state is the client's, so one generator serves any device."""
        self._seed = 67280421310721
        self._offset = 0

    def manual_seed(self, seed: int) -> Self:
        """Restart the stream of `seed`."""
        self._seed, self._offset = int(seed) % _WORD, 0
        return self

    def seed(self) -> int:
        """Restart the stream of a seed from the system's entropy, and return it."""
        self.manual_seed(secrets.randbits(63))
        return self._seed

    def initial_seed(self) -> int:
        """Return the seed."""
        return self._seed

    def take(self, numel: int) -> tuple[int, int]:
        """Return (seed, offset) for a call that draws `numel` elements, and step over them."""
        offset = self._offset
        self._offset = offset + blocks_for(numel)
        return _signed(self._seed), offset

    def get_state(self) -> Tensor:
        """Return the state as a uint8 tensor of 16 bytes."""
        from gradwire import conversion

        return conversion.from_array(np.array([self._seed, self._offset], "<u8").view(np.uint8), uint8)

    def set_state(self, new_state: Tensor) -> Self:
        """Restore what `get_state` returned."""
        if new_state.dtype is not uint8 or new_state.numel() != 16:
            raise RuntimeError(f"RNG state must be a uint8 tensor of 16 bytes; got {new_state.meta}")
        self._seed, self._offset = (int(word) for word in new_state.numpy().view("<u8"))
        return self


class _ThreadOwn(threading.local):
    """The generator that a thread draws from where none is named; None for the process's."""

    generator: Generator | None = None


_own = _ThreadOwn()


class _DefaultGenerator(Generator):
    """The generator of calls that name none. A thread may have its own, so that threads do not draw from one stream."""

    def __init__(self) -> None:
        self._process = Generator()

    def _current(self) -> Generator:
        return _own.generator or self._process

    @property
    def _seed(self) -> int:
        return self._current()._seed

    @_seed.setter
    def _seed(self, value: int) -> None:
        self._current()._seed = value

    @property
    def _offset(self) -> int:
        return self._current()._offset

    @_offset.setter
    def _offset(self, value: int) -> None:
        self._current()._offset = value


def use_in_this_thread(generator: Generator | None) -> None:
    """Make a generator the default one of the calling thread; None gives it the process's back."""
    _own.generator = generator


default_generator: Generator = _DefaultGenerator()


def manual_seed(seed: int) -> Generator:
    """Restart the default generator; the same seed gives the same numbers on every worker of a kind."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed the default generator from the system's entropy."""
    return default_generator.seed()


def initial_seed() -> int:
    """Return the default generator's seed."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """Return the default generator's state."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Restore the default generator's state."""
    default_generator.set_state(new_state)


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
    return finish(call(OPS[name], size, *numbers, *drawn, dtype), requires_grad, device)


def _size(size: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size


def _floating(name: str, dtype: DType | None) -> DType:
    from gradwire.tensor import get_default_dtype

    dtype = dtype or get_default_dtype()
    if not dtype.is_floating_point:
        raise RuntimeError(f'"{name}" needs a floating-point dtype; got {dtype}')
    return dtype


def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return numbers from [0, 1)."""
    return _drawn("gw::uniform", _size(size), _floating("rand", dtype), generator, requires_grad, device)


def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return numbers from the standard normal distribution."""
    return _drawn("gw::normal", _size(size), _floating("randn", dtype), generator, requires_grad, device)


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
        raise RuntimeError(f"n must be non-negative, got {n}")
    drawn = (generator or default_generator).take(n)
    return finish(call(OPS["gw::permutation"], n, *drawn, dtype or int64), requires_grad, device)


def rand_like(
    input: Tensor,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Return numbers from [0, 1) in the shape and dtype of `input`."""
    check_memory_format("rand_like", memory_format, input.dim())
    return rand(*input.shape, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


def randn_like(
    input: Tensor,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Return standard normal numbers in the shape and dtype of `input`."""
    check_memory_format("randn_like", memory_format, input.dim())
    return randn(*input.shape, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return integers from [low, high), or [0, low), in the shape and dtype of `input`."""
    first, end = (0, low) if high is None else (low, high)
    return randint(
        first, end, tuple(input.shape), dtype=dtype or input.dtype, device=device, requires_grad=requires_grad
    )


def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None) -> Tensor:
    """Return normal numbers with the given mean and deviation: numbers with a `size`, or tensors that broadcast."""
    from gradwire.tensor import Tensor

    if size is None:
        tensors = [value for value in (mean, std) if isinstance(value, Tensor)]
        if not tensors:
            raise TypeError("normal() needs a size where mean and std are numbers")
        size = (mean + std).shape if len(tensors) == 2 else tensors[0].shape
    made: Tensor = randn(*size, generator=generator) * std + mean
    return made


def dropout(input: Tensor, p: float = 0.5, train: bool = True, *, generator: Generator | None = None) -> Tensor:
    """Zero each element with probability `p` and scale the others by 1 / (1 - p); the identity unless `train`."""
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not train or p == 0:
        return input
    drawn = (generator or default_generator).take(input.numel())
    result: Tensor = OPS["gw::dropout"](input, float(p), *drawn)[0]
    return result


class RandomMethods:
    """The in-place random methods of Tensor."""

    __slots__ = ()

    def _fill(self: Any, name: str, generator: Generator | None, *numbers: float) -> Any:
        drawn = (generator or default_generator).take(self.meta.numel)
        return OPS[name](self, *numbers, *drawn)

    def uniform_(self: Any, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None) -> Any:
        """Fill from [a, b)."""
        if a > b:
            raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={a} > to={b}")
        return self._fill("gw::uniform_", generator, float(a), float(b))

    def normal_(self: Any, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Any:
        """Fill from the normal distribution."""
        if std < 0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
        return self._fill("gw::normal_", generator, float(mean), float(std))

    def bernoulli_(self: Any, p: float = 0.5, *, generator: Generator | None = None) -> Any:
        """Fill with ones with probability p, zeros otherwise."""
        if not 0 <= p <= 1:
            raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
        return self._fill("gw::bernoulli_", generator, float(p))

    def random_(self: Any, low: int = 0, high: int | None = None, *, generator: Generator | None = None) -> Any:
        """Fill with integers from [low, high); with one bound from [0, low); without, with what the dtype holds exactly."""
        if high is None:
            low, high = 0, low or _exact_limit(self.meta.dtype)
        return self._fill("gw::random_", generator, low, high)

    def bernoulli(self: Any, *, generator: Generator | None = None) -> Any:
        """Draw one with the probability that each element holds."""
        drawn = (generator or default_generator).take(self.meta.numel)
        return OPS["gw::bernoulli"](self, *drawn)


def _exact_limit(dtype: DType) -> int:
    """Return the end of PyTorch's range for `random_()`: all integers that the dtype holds exactly."""
    if dtype.is_floating_point:
        return (1 << {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}[dtype.name]) + 1
    bits = dtype.itemsize * 8 - (1 if dtype.is_signed else 0)
    return 2 if dtype.name == "bool" else min(1 << bits, (1 << 63) - 1)
