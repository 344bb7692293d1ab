"""What a script sets for the whole process, and asks back: threads, precision, determinism, the default device.

Kept here and checked. A setting that a worker could not honour is refused, unless it merely permits something.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

from gradwire import session
from gradwire.device import Device
from gradwire.tensor import set_default_dtype
from gradwire.tensor_types import TensorType, tensor_type
from gradwire.workers import placement, session_of
from gradwire_protocol.dtypes import DType

__all__ = [
    "are_deterministic_algorithms_enabled",
    "can_cast",
    "get_default_device",
    "get_deterministic_debug_mode",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "get_num_threads",
    "is_deterministic_algorithms_warn_only_enabled",
    "is_storage",
    "set_default_device",
    "set_default_tensor_type",
    "set_deterministic_debug_mode",
    "set_float32_matmul_precision",
    "set_flush_denormal",
    "set_num_interop_threads",
    "set_num_threads",
    "use_deterministic_algorithms",
]  # fmt: skip

_threads = {"num_threads": os.cpu_count() or 1, "num_interop_threads": os.cpu_count() or 1}
_precision = "highest"
_deterministic, _warn_only = False, False


def _set_threads(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise RuntimeError(f"set_{name} expects an int, but got {type(value).__name__}")
    if value <= 0:
        raise RuntimeError(f"set_{name} expects a positive integer")
    _threads[name] = value


def set_num_threads(value: int) -> None:
    """Keep how many threads this process may compute with. It computes nothing: a worker's are set where it starts."""
    _set_threads("num_threads", value)


def get_num_threads() -> int:
    """Return what `set_num_threads` set, or the processors of this machine."""
    return _threads["num_threads"]


def set_num_interop_threads(value: int) -> None:
    """Keep how many ops this process may run at once; see `set_num_threads`."""
    _set_threads("num_interop_threads", value)


def get_num_interop_threads() -> int:
    """Return what `set_num_interop_threads` set, or the processors of this machine."""
    return _threads["num_interop_threads"]


def set_flush_denormal(mode: bool) -> bool:
    """Return False, which says that it could not be set: numpy keeps denormal numbers."""
    return False


def set_float32_matmul_precision(precision: str) -> None:
    """Permit matrix products to round more: "highest" (no), "high" or "medium". Workers compute in float32 always."""
    global _precision
    if precision not in ("highest", "high", "medium"):
        warnings.warn(
            f"{precision} is not one of 'highest', 'high', or 'medium'; the current setFloat32MatmulPrecision call has no "
            "effect.",
            stacklevel=2,
        )
        return
    _precision = precision


def get_float32_matmul_precision() -> str:
    """Return what was permitted."""
    return _precision


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask that each run gives the same bits. A CPU worker always does; some sums of a GPU worker do not.

    So on a GPU worker this raises RuntimeError, or warns where `warn_only` is set.
    """
    global _deterministic, _warn_only
    if mode and not session.current().device.startswith("cpu"):
        words = (
            "use_deterministic_algorithms(True) needs kernels that add in one order; a GPU worker's scatter and index sums "
            "do not; use a CPU worker, or warn_only=True"
        )
        if not warn_only:
            raise RuntimeError(words)
        warnings.warn(words, stacklevel=2)
    _deterministic, _warn_only = bool(mode), bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """Return whether it was asked for."""
    return _deterministic


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Return whether only warnings were asked for."""
    return _warn_only


def get_deterministic_debug_mode() -> int:
    """Return 0, or 1 if warnings or 2 if errors were asked for."""
    return (1 if _warn_only else 2) if _deterministic else 0


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """Ask for determinism by number or name: "default", "warn" or "error"; see `use_deterministic_algorithms`."""
    names = {"default": 0, "warn": 1, "error": 2}
    mode = names.get(debug_mode, -1) if isinstance(debug_mode, str) else debug_mode
    if mode not in (0, 1, 2):
        raise RuntimeError(f"invalid value of debug_mode, expected 0, 1, or 2, but got {debug_mode}")
    use_deterministic_algorithms(mode > 0, warn_only=mode == 1)


def is_storage(obj: Any) -> bool:
    """Return False: the memory of a tensor is on its worker."""
    return False


def get_default_device() -> Device:
    """Return the worker's device: the one that new tensors live on."""
    return Device(session.current().device)


def set_default_device(device: Any) -> None:
    """Make new tensors of this thread on a device, with None on the first; raise what PyTorch raises for one not there."""
    placement.session = None
    if device is not None:
        chosen = session_of(device, session.current())
        placement.session = None if chosen.fleet is None else chosen


def set_default_tensor_type(t: TensorType | str) -> None:
    """Set the default dtype by the name of a tensor type: `torch.DoubleTensor` or "torch.DoubleTensor"."""
    wanted = tensor_type(t)
    wanted.check_device()
    set_default_dtype(wanted.dtype)


def can_cast(from_: DType, to: DType) -> bool:
    """Return whether promotion allows a result of one dtype to be stored as another."""
    for name, dtype in (("from_", from_), ("to", to)):
        if not isinstance(dtype, DType):
            raise TypeError(f"can_cast(): argument '{name}' must be torch.dtype, not {type(dtype).__name__}")
    return from_.category <= to.category
