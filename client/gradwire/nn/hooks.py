"""Hooks around a module's `forward`: their records, and the call that runs them.

`Module` holds the records in two dicts, in order of running; this file never looks at anything
else of a module but its `forward`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradwire.nn.backward_hooks import ModuleBackward
    from gradwire.nn.module import Module

__all__ = ["ForwardHook", "ForwardPreHook", "call_with_hooks"]


@dataclass(frozen=True, slots=True)
class ForwardPreHook:
    """Runs before `forward`; may replace its arguments."""

    function: Callable[..., Any]
    with_kwargs: bool


@dataclass(frozen=True, slots=True)
class ForwardHook:
    """Runs after `forward`; may replace its result. `always_call`: also when `forward` raised."""

    function: Callable[..., Any]
    with_kwargs: bool
    always_call: bool


def call_with_hooks(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return `module.forward(*args, **kwargs)`, passed through the module's hooks."""
    pending = dict(module._forward_hooks)
    try:
        args, kwargs = _run_pre_hooks(module, args, kwargs)
        watched = _watched(module)
        result = module.forward(*(args if watched is None else watched.inputs(args)), **kwargs)
        while pending:
            result = _run_hook(module, pending.pop(next(iter(pending))), args, kwargs, result)
        return result if watched is None else watched.outputs(result)
    except Exception:
        _run_always_called(module, pending, args, kwargs)
        raise


def _watched(module: Module) -> ModuleBackward | None:
    """Return the watch over this call's backward, None where no hook needs one."""
    if not module._backward_hooks and not module._backward_pre_hooks:
        return None
    from gradwire.nn.backward_hooks import ModuleBackward

    return ModuleBackward(module)


def _run_pre_hooks(
    module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    for hook in list(module._forward_pre_hooks.values()):
        if not hook.with_kwargs:
            replaced = hook.function(module, args)
            if replaced is not None:
                args = replaced if isinstance(replaced, tuple) else (replaced,)
            continue
        replaced = hook.function(module, args, kwargs)
        if replaced is None:
            continue
        if not isinstance(replaced, tuple) or len(replaced) != 2:
            raise RuntimeError(
                f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {replaced}."
            )
        args, kwargs = replaced
    return args, kwargs


def _run_hook(module: Module, hook: ForwardHook, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Any:
    given = (args, kwargs) if hook.with_kwargs else (args,)
    replaced = hook.function(module, *given, result)
    return result if replaced is None else replaced


def _run_always_called(
    module: Module, hooks: dict[int, ForwardHook], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Run what must run though `forward` raised; that first error is the one the user sees."""
    for hook in hooks.values():
        if not hook.always_call:
            continue
        try:
            _run_hook(module, hook, args, kwargs, None)
        except Exception as error:
            warnings.warn(
                "module forward hook with `always_call=True` raised an exception that was"
                f" silenced as another error was raised in forward: {error}",
                stacklevel=2,
            )
