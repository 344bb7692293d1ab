"""`torch.amp`: scaling of losses so that small float16 gradients survive. Automatic casts are not built.

`autocast(enabled=False)`, which scripts write where they do without it, does nothing, as in PyTorch; enabled, it raises:
convert the model with `half()` or `to(dtype)`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from gradwire.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "is_autocast_available", "is_autocast_enabled"]

F = TypeVar("F", bound=Callable[..., Any])


def is_autocast_available(device_type: str) -> bool:
    """Return False."""
    return False


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Return False."""
    return False


class autocast:
    """A context manager and decorator that raises RuntimeError if it is enabled."""

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        if enabled:
            raise RuntimeError(
                f"autocast({device_type!r}) needs casts chosen op by op, which gradwire does not have; pass enabled=False, "
                "and convert the model with half() or to(dtype) where lower precision is wanted"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def __call__(self, function: F) -> F:
        """Decorate a function."""

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper  # type: ignore[return-value]
