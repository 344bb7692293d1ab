"""What a script asks of `torch.cuda`: answered for the worker's device. Asking opens the session.

Without a GPU worker the queries say so and the others raise what PyTorch raises without CUDA. A worker has one device,
which is the current one. Calls of a session run in their order, so streams order nothing (see `streams`).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from gradwire import random, session
from gradwire.cuda.streams import Event, Stream, current_stream, default_stream, set_stream, stream
from gradwire.device import Device, check_device
from gradwire.tensor_types import TENSOR_TYPES

__all__ = [
    "Event", "OutOfMemoryError", "Stream", "amp", "can_device_access_peer", "current_device", "current_stream",
    "default_stream", "device", "device_count", "empty_cache", "get_device_capability", "get_device_name",
    "get_device_properties", "get_rng_state", "get_rng_state_all", "init", "initial_seed", "ipc_collect",
    "is_available", "is_bf16_supported", "is_initialized", "manual_seed", "manual_seed_all", "max_memory_allocated",
    "max_memory_reserved", "memory_allocated", "memory_reserved", "reset_peak_memory_stats", "seed", "seed_all",
    "set_device", "set_rng_state", "set_rng_state_all", "set_stream", "stream", "synchronize",
]  # fmt: skip

# What a worker's kernels raise where memory runs out, and how it crosses the wire.
OutOfMemoryError = MemoryError


def is_available() -> bool:
    """Return whether the worker computes on an NVIDIA GPU."""
    return session.current().device.startswith("cuda")


def device_count() -> int:
    """Return 1 with a GPU worker, else 0: a session has one device."""
    return int(is_available())


def _need_cuda() -> Device:
    """Return the worker's device; raise what PyTorch raises without CUDA."""
    if not is_available():
        raise AssertionError(
            f"Torch not compiled with CUDA enabled: the worker at {session.current().address} computes on "
            f"{session.current().device}; start one with --device cuda:0"
        )
    return Device(session.current().device)


def _check(device: Any) -> Device:
    """Return the worker's device, having checked that it is the one that is asked for."""
    have = _need_cuda()
    check_device(Device("cuda", device) if isinstance(device, int) else device, session.current())
    return have


def current_device() -> int:
    """Return the number of the worker's device."""
    return _need_cuda().index or 0


def set_device(device: Any) -> None:
    """Accept the worker's device; raise RuntimeError for another."""
    if not (isinstance(device, int) and device < 0):  # PyTorch: a negative number changes nothing
        _check(device)


class device:
    """A context in which a device is the current one: the worker's, or none with a negative number."""

    def __init__(self, device: Any) -> None:
        self._device = device

    def __enter__(self) -> Self:
        set_device(self._device)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def _fact(name: str) -> str:
    """Return what the worker's fingerprint says under a name."""
    facts = dict(part.partition("=")[::2] for part in session.current().welcome.fingerprint.split("; "))
    return facts.get(name, "")


def get_device_name(device: Any = None) -> str:
    """Return the name of the worker's GPU."""
    _check(device)
    return _fact("device")


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Return the compute capability of the worker's GPU, such as (9, 0)."""
    _check(device)
    major, _, minor = _fact("capability").partition(".")
    return int(major), int(minor)


@dataclass(frozen=True, slots=True)
class DeviceProperties:
    """What a worker tells about its GPU."""

    name: str
    major: int
    minor: int


def get_device_properties(device: Any = None) -> DeviceProperties:
    """Return the name and the compute capability of the worker's GPU; its memory and processors are not told."""
    return DeviceProperties(get_device_name(device), *get_device_capability(device))


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """Return False: a session has one device."""
    _check(device)
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Return whether bfloat16 tensors can be made on a GPU worker."""
    import gradwire

    return hasattr(gradwire, "bfloat16") and is_available()


def init() -> None:
    """Open the session; raise AssertionError without a GPU worker."""
    _need_cuda()


def is_initialized() -> bool:
    """Return whether the worker computes on a GPU; a session that is open needs nothing more."""
    return is_available()


def synchronize(device: Any = None) -> None:
    """Wait until all calls so far have run, and raise the first failure among them."""
    _check(device)
    session.current().wait()


def empty_cache() -> None:
    """Return at once: the memory pool is the worker's, which gives it back when another session needs it."""


def ipc_collect() -> None:
    """Return at once: no memory is shared between processes."""


def _untold(name: str) -> int:
    """Return 0 without CUDA, as PyTorch does; the protocol does not carry a GPU's use of memory."""
    if is_available():
        raise NotImplementedError(
            f"torch.cuda.{name} needs the worker to tell its memory, and gradwire's protocol has no such question; see "
            "the worker's own log, or nvidia-smi there"
        )
    return 0


def memory_allocated(device: Any = None) -> int:
    """Return 0 without a GPU worker; raise NotImplementedError with one."""
    return _untold("memory_allocated")


def max_memory_allocated(device: Any = None) -> int:
    """Return 0 without a GPU worker; raise NotImplementedError with one."""
    return _untold("max_memory_allocated")


def memory_reserved(device: Any = None) -> int:
    """Return 0 without a GPU worker; raise NotImplementedError with one."""
    return _untold("memory_reserved")


def max_memory_reserved(device: Any = None) -> int:
    """Return 0 without a GPU worker; raise NotImplementedError with one."""
    return _untold("max_memory_reserved")


def reset_peak_memory_stats(device: Any = None) -> None:
    """Do nothing without a GPU worker; raise NotImplementedError with one."""
    _untold("reset_peak_memory_stats")


# --- random numbers: one generator serves the one device; without a GPU, seeding it must not move the CPU's stream


def manual_seed(seed: int) -> None:
    """Restart the default generator if the worker has a GPU."""
    if is_available():
        random.manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """Restart the default generator if the worker has a GPU."""
    manual_seed(seed)


def seed() -> None:
    """Seed the default generator from the system's entropy if the worker has a GPU."""
    if is_available():
        random.seed()


def seed_all() -> None:
    """Seed the default generator from the system's entropy if the worker has a GPU."""
    seed()


def initial_seed() -> int:
    """Return the default generator's seed."""
    _need_cuda()
    return random.initial_seed()


def get_rng_state(device: Any = "cuda") -> Any:
    """Return the default generator's state."""
    _check(device)
    return random.get_rng_state()


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Restore the default generator's state."""
    _check(device)
    random.set_rng_state(new_state)


def get_rng_state_all() -> list[Any]:
    """Return the states of all devices: one, or none without a GPU worker."""
    return [random.get_rng_state()] if is_available() else []


def set_rng_state_all(new_states: Any) -> None:
    """Restore what `get_rng_state_all` returned."""
    for state in new_states:
        set_rng_state(state)


FloatTensor, DoubleTensor, HalfTensor, BoolTensor, ByteTensor, CharTensor, ShortTensor, IntTensor, LongTensor = (
    TENSOR_TYPES[f"torch.cuda.{word}Tensor"]
    for word in ("Float", "Double", "Half", "Bool", "Byte", "Char", "Short", "Int", "Long")
)

from gradwire.cuda import amp
