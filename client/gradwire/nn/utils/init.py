"""`skip_init`: a module whose parameters nobody has drawn yet."""

from __future__ import annotations

import inspect
from typing import Any

from gradwire.nn.module import Module
from gradwire.random import get_rng_state, set_rng_state

__all__ = ["skip_init"]


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Any:
    """Return `module_cls(*args, **kwargs)` with parameters and buffers as `empty` makes them, and no random number drawn.

    Raises RuntimeError for what is no module class, or takes no `device`.
    """
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    state = get_rng_state()
    try:
        module = module_cls(*args, **kwargs)
    finally:
        set_rng_state(state)
    return module.to_empty(device=kwargs.get("device"))
