"""`torch._C` and other private modules, as far as packages reach into them: switches of what gradwire has not."""

from __future__ import annotations

from gradwire.subclasses import DisableTorchFunctionSubclass

__all__ = ["DisableTorchFunctionSubclass", "DispatchKey", "DispatchKeySet", "is_compile_supported"]


def _log_api_usage_once(event: str) -> None:
    """Do nothing: PyTorch counts uses at one company."""


def _get_tracing_state() -> None:
    """Return None: nothing is traced."""


def is_compile_supported(device_type: str) -> bool:
    """Return False: there is no compiler."""
    return False


class DispatchKey:
    """Names of PyTorch's kernels for one op."""

    AutocastCPU = "AutocastCPU"
    AutocastCUDA = "AutocastCUDA"
    AutocastXPU = "AutocastXPU"


class DispatchKeySet(frozenset[str]):
    """A set of such names."""

    def __new__(cls, key: str) -> DispatchKeySet:
        """Make the set of one key."""
        return super().__new__(cls, (key,))
