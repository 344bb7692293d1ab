"""Hooks around an optimizer's step, and around saving and loading its state.

Each optimizer holds its own in dicts, in order of running; those of the step exist for all optimizers too.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING, Any

from gradwire.removable_handle import RemovableHandle

if TYPE_CHECKING:
    from gradwire.optim.optimizer import Optimizer

__all__ = ["HookMethods", "hooked", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook"]

_NAMES = (
    "_optimizer_step_pre_hooks", "_optimizer_step_post_hooks", "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks", "_optimizer_load_state_dict_pre_hooks", "_optimizer_load_state_dict_post_hooks",
)  # fmt: skip
_global_pre_hooks: OrderedDict[int, Any] = OrderedDict()
_global_post_hooks: OrderedDict[int, Any] = OrderedDict()


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Run `hook(optimizer, args, kwargs)` before each step of every optimizer, ahead of its own hooks."""
    return RemovableHandle.register(_global_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable[..., None]) -> RemovableHandle:
    """Run `hook(optimizer, args, kwargs)` after each step of every optimizer, behind its own hooks."""
    return RemovableHandle.register(_global_post_hooks, hook)


class HookMethods:
    """Mixed into Optimizer."""

    _optimizer_step_pre_hooks: OrderedDict[int, Any]
    _optimizer_step_post_hooks: OrderedDict[int, Any]
    _optimizer_state_dict_pre_hooks: OrderedDict[int, Any]
    _optimizer_state_dict_post_hooks: OrderedDict[int, Any]
    _optimizer_load_state_dict_pre_hooks: OrderedDict[int, Any]
    _optimizer_load_state_dict_post_hooks: OrderedDict[int, Any]

    def _make_hooks(self) -> None:
        for name in _NAMES:
            self.__dict__.setdefault(name, OrderedDict())

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Run `hook(optimizer, args, kwargs)` before each step; a pair it returns replaces them.

        As in PyTorch, the first of `args` is the optimizer.
        """
        return RemovableHandle.register(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Run `hook(optimizer, args, kwargs)` after each step."""
        return RemovableHandle.register(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., None], prepend: bool = False) -> RemovableHandle:
        """Run `hook(optimizer)` before each `state_dict()`."""
        return RemovableHandle.register(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Run `hook(optimizer, state_dict)` after each `state_dict()`; a dict it returns replaces that one."""
        return RemovableHandle.register(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Run `hook(optimizer, state_dict)` on a shallow copy of what is to be loaded; a dict it returns replaces it."""
        return RemovableHandle.register(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable[..., None], prepend: bool = False) -> RemovableHandle:
        """Run `hook(optimizer)` after each `load_state_dict()`."""
        return RemovableHandle.register(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    def _replaced_by(self, hooks: OrderedDict[int, Any], state_dict: dict[str, Any]) -> dict[str, Any]:
        """Return a state, or what the hooks gave in its stead."""
        for hook in hooks.values():
            result = hook(self, state_dict)
            if result is not None:
                state_dict = result
        return state_dict


def hooked(step: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a class's `step` so that the hooks run around it."""

    @functools.wraps(step)
    def run(*args: Any, **kwargs: Any) -> Any:
        self: Optimizer = args[0]
        if getattr(type(self), "step", None) is not run:
            # Reached by super().step() from a class below, around whose step the hooks run.
            return step(*args, **kwargs)
        for hook in list(chain(_global_pre_hooks.values(), self._optimizer_step_pre_hooks.values())):
            args, kwargs = _replaced(hook(self, args, kwargs), step, args, kwargs)
        result = step(*args, **kwargs)
        for hook in list(chain(self._optimizer_step_post_hooks.values(), _global_post_hooks.values())):
            hook(self, args, kwargs)
        return result

    return run


def _replaced(
    result: Any, step: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if result is None:
        return args, kwargs
    if not isinstance(result, tuple) or len(result) != 2:
        raise RuntimeError(f"{step} must return None or a tuple of (new_args, new_kwargs), but got {result}.")
    return result
