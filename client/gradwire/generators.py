"""Generators: the client owns the state (seed, offset), and sends both with each random call.

So the numbers depend on nothing but the seed and the calls before, on any worker of a kind, and a replay draws them again.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gradwire.device import Device
from gradwire.programs.recording import active
from gradwire_protocol.dtypes import uint8
from gradwire_protocol.random import blocks_for

if TYPE_CHECKING:
    from gradwire.tensor import Tensor

__all__ = [
    "Generator", "default_generator", "fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state", "signed",
    "use_in_this_thread",
]  # fmt: skip

_WORD = 1 << 64


def signed(value: int) -> int:
    """Return the signed integer of the same 64 bits, as the wire's columns hold it."""
    value %= _WORD
    return value - _WORD if value >= _WORD // 2 else value


def _word(seed: Any) -> int:
    """Return a seed as a word; refuse in PyTorch's words what is no integer, or too long."""
    if isinstance(seed, float) or (not hasattr(seed, "__index__") and not hasattr(seed, "item")):
        raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
    number = int(seed)
    if not -(_WORD // 2) <= number < _WORD:
        raise ValueError("Overflow when unpacking long long")
    return number % _WORD


class Generator:
    """A seed and how many blocks of its stream were drawn."""

    device: Device

    def __init__(self, device: Any = "cpu") -> None:
        """Start at PyTorch's default seed. The state is the client's, so one generator serves any device."""
        self.device = Device(device)
        self._seed = 67280421310721
        self._offset = 0

    def manual_seed(self, seed: int) -> Self:
        """Restart the stream of `seed`, an integer of 64 bits, signed or not."""
        self._seed, self._offset = _word(seed), 0
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
        drawn = signed(self._seed), offset
        recording = active()
        if recording is not None:
            recording.draw(self, drawn, offset)
        return drawn

    def get_state(self) -> Tensor:
        """Return the state as a uint8 tensor of 16 bytes."""
        from gradwire import conversion

        return conversion.from_array(np.array([self._seed, self._offset], "<u8").view(np.uint8), uint8)

    def set_state(self, new_state: Tensor) -> Self:
        """Restore what `get_state` returned. Waits for its bytes."""
        if new_state.dtype is not uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        if new_state.numel() != 16:
            raise RuntimeError(f"RNG state must have 16 bytes, from get_state; got {new_state.numel()}")
        self._seed, self._offset = (int(word) for word in new_state.numpy().view("<u8"))
        return self

    @property
    def position(self) -> tuple[int, int]:
        """The (seed, offset) that `get_state` packs in a tensor; setting it waits for nothing."""
        return self._seed, self._offset

    @position.setter
    def position(self, value: tuple[int, int]) -> None:
        self._seed, self._offset = value

    def clone_state(self) -> Generator:
        """Return another generator at the same place of the same stream."""
        made = Generator(self.device)
        made._seed, made._offset = self._seed, self._offset
        return made


class _ThreadOwn(threading.local):
    """The generator that a thread draws from where none is named; None for the process's."""

    generator: Generator | None = None


_own = _ThreadOwn()


class _DefaultGenerator(Generator):
    """The generator of calls that name none. A thread may have its own, so that threads do not draw from one stream."""

    def __init__(self) -> None:
        self._process = Generator()
        self.device = self._process.device

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
    return default_generator.manual_seed(int(seed))


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


@contextlib.contextmanager
def fork_rng(
    devices: Iterable[Any] | None = None,
    enabled: bool = True,
    _caller: str = "fork_rng",
    _devices_kw: str = "devices",
    device_type: str = "cuda",
) -> Iterator[None]:
    """Put the default generator back at the end of the block where it stood at its start. Does not wait.

    One generator serves all devices, so `devices` and `device_type` choose nothing.
    """
    seed, offset = default_generator._seed, default_generator._offset
    try:
        yield
    finally:
        if enabled:
            default_generator._seed, default_generator._offset = seed, offset
