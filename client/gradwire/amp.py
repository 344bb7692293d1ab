"""`torch.amp`: dtypes chosen op by op (`autocast`), and scaling of losses so that small float16 gradients survive."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np

from gradwire.autocast_lists import LISTS
from gradwire.autocasting import settings, switch
from gradwire.grad_scaler import GradScaler
from gradwire_protocol.dtypes import DType, bfloat16, float16, float64

__all__ = [
    "GradScaler", "autocast", "autocast_decrement_nesting", "autocast_increment_nesting", "clear_autocast_cache", "custom_bwd",
    "custom_fwd", "get_autocast_cpu_dtype", "get_autocast_dtype", "get_autocast_gpu_dtype", "is_autocast_available",
    "is_autocast_cache_enabled", "is_autocast_cpu_enabled", "is_autocast_enabled", "set_autocast_cache_enabled",
    "set_autocast_cpu_dtype", "set_autocast_cpu_enabled", "set_autocast_dtype", "set_autocast_enabled",
    "set_autocast_gpu_dtype",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])
_LOWER = (bfloat16, float16)


# ---------------------------------------------------------------- what is on in this thread
def is_autocast_available(device_type: str) -> bool:
    """Return whether there are lists for a type of device: "cpu" and "cuda"."""
    return device_type in LISTS


def _checked(device_type: str) -> str:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if not is_autocast_available(device_type):
        raise RuntimeError(f"User specified an unsupported autocast device_type '{device_type}'")
    return device_type


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Return whether autocast is on in this thread, for "cuda" unless another device is named."""
    return _checked(device_type or "cuda") in settings.enabled


def set_autocast_enabled(device_type: str, enabled: bool) -> None:
    """Switch autocast on or off in this thread; `with autocast(...)` is the usual way."""
    switch(_checked(device_type), bool(enabled))


def get_autocast_dtype(device_type: str) -> DType:
    """Return the lower precision of a type of device: bfloat16 on "cpu", float16 on "cuda", unless it was set."""
    return settings.dtypes[_checked(device_type)]


def set_autocast_dtype(device_type: str, dtype: DType) -> None:
    """Set the lower precision of a type of device, in this thread."""
    settings.dtypes[_checked(device_type)] = dtype


# The older names of these, one for each type of device.
is_autocast_cpu_enabled = functools.partial(is_autocast_enabled, "cpu")
set_autocast_cpu_enabled = functools.partial(set_autocast_enabled, "cpu")
get_autocast_cpu_dtype = functools.partial(get_autocast_dtype, "cpu")
set_autocast_cpu_dtype = functools.partial(set_autocast_dtype, "cpu")
get_autocast_gpu_dtype = functools.partial(get_autocast_dtype, "cuda")
set_autocast_gpu_dtype = functools.partial(set_autocast_dtype, "cuda")


def is_autocast_cache_enabled() -> bool:
    """Return whether casts of weights are kept until the outermost `autocast` ends."""
    return settings.cache_enabled


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Let casts of weights be kept until the outermost `autocast` ends, or not."""
    settings.cache_enabled = enabled


def clear_autocast_cache() -> None:
    """Forget the casts of weights."""
    settings.cache.clear()


def autocast_increment_nesting() -> int:
    """Count one more `autocast` that the code is inside of; return their number."""
    settings.nesting += 1
    return settings.nesting


def autocast_decrement_nesting() -> int:
    """Count one less `autocast` that the code is inside of; return their number."""
    settings.nesting -= 1
    return settings.nesting


# ---------------------------------------------------------------- the context manager
class autocast:
    """Run products and convolutions in a lower precision, and what needs float32 in that: a context manager and decorator.

    Ops of one type of device are meant, `device_type`. `dtype` is bfloat16 or float16. Casts are recorded, so gradients
    of float32 weights are float32. Weights are cast once within the outermost context, unless `cache_enabled` is False.
    """

    def __init__(
        self, device_type: str, dtype: DType | None = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        self.device = _checked(device_type)
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        self._cache_enabled = settings.cache_enabled if cache_enabled is None else cache_enabled
        self._enabled = enabled and _is_usable(device_type, self.fast_dtype)
        self._previous: list[tuple[bool, DType, bool]] = []

    def __enter__(self) -> Self:
        self._previous.append((self.device in settings.enabled, settings.dtypes[self.device], settings.cache_enabled))
        switch(self.device, self._enabled)
        settings.dtypes[self.device] = self.fast_dtype
        settings.cache_enabled = self._cache_enabled
        autocast_increment_nesting()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if autocast_decrement_nesting() == 0:
            clear_autocast_cache()
        enabled, settings.dtypes[self.device], settings.cache_enabled = self._previous.pop()
        switch(self.device, enabled)

    def __call__(self, func: F) -> F:
        """Decorate a function."""
        if not callable(func):
            raise TypeError(
                f"autocast()(func) requires a callable, but got {type(func).__name__}. Did you mean to use autocast as a "
                "context manager? For example:\n    with torch.autocast(device_type=...):\n        output = model(input)"
            )

        @functools.wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self:
                return func(*args, **kwargs)

        return wrapper  # type: ignore[return-value]


def _is_usable(device_type: str, dtype: DType) -> bool:
    """Return whether autocast can be on; warn as PyTorch does where it cannot."""
    from gradwire import cuda

    if device_type == "cuda" and not cuda.is_available():
        warnings.warn("CUDA is not available or torch_xla is imported. Disabling autocast.", stacklevel=3)
        return False
    if dtype not in _LOWER:
        warnings.warn(
            f"In {device_type.upper()} autocast, but the target dtype is not supported. Disabling autocast.\n"
            f"{device_type.upper()} Autocast only supports dtypes of torch.bfloat16, torch.float16 currently.",
            stacklevel=3,
        )
        return False
    return True


# ---------------------------------------------------------------- functions with a backward of their own
def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, device_type: str, cast_inputs: DType | None = None
) -> Callable[..., Any]:
    """Decorate the `forward` of an `autograd.Function`, so that `custom_bwd` finds the autocast it ran under.

    With `cast_inputs`, under autocast its floating tensors come in that dtype and it runs without autocast.
    """
    _checked(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def wrapper(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        enabled = is_autocast_enabled(device_type)
        ctx._dtype = get_autocast_dtype(device_type)
        ctx._fwd_used_autocast = enabled and cast_inputs is None
        if cast_inputs is None or not enabled:
            return fwd(ctx, *args, **kwargs)
        with autocast(device_type, enabled=False):
            return fwd(ctx, *_nested(args, device_type, cast_inputs), **_nested(kwargs, device_type, cast_inputs))

    return wrapper


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Callable[..., Any]:
    """Decorate the `backward` of an `autograd.Function`, so that it runs under the autocast that its `forward` had."""
    _checked(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def wrapper(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, enabled=ctx._fwd_used_autocast, dtype=ctx._dtype):
            return bwd(ctx, *args, **kwargs)

    return wrapper


def _nested(value: Any, device_type: str, dtype: DType) -> Any:
    """Return a nesting of containers with its floating tensors on a device cast."""
    from gradwire.tensor import Tensor

    if isinstance(value, Tensor):
        eligible = value.is_floating_point() and value.dtype is not float64 and value.device.type == device_type
        return value.to(dtype) if eligible else value
    if isinstance(value, str | bytes | np.ndarray):
        return value
    if isinstance(value, Mapping):
        return {_nested(key, device_type, dtype): _nested(item, device_type, dtype) for key, item in value.items()}
    if isinstance(value, Iterable):
        items = (_nested(item, device_type, dtype) for item in value)
        return type(value)(items) if isinstance(value, list | tuple) else items
    return value
