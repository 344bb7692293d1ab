"""Hooks around `state_dict` and `load_state_dict` of a module: their registers, and how each kind is called."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from gradwire.removable_handle import RemovableHandle

__all__ = ["REGISTERS", "StateHooks"]

Hook = Callable[..., Any]
# As PyTorch names them; each module has its own.
REGISTERS = ("_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks")


@dataclass(frozen=True, slots=True)
class _SavedHook:
    """Runs after `state_dict`. One that was registered privately may return another dict."""

    function: Hook
    may_replace: bool


@dataclass(frozen=True, slots=True)
class _LoadHook:
    """Runs before a module loads its own tensors."""

    function: Hook
    with_module: bool


class StateHooks:
    """Mixed into Module."""

    _state_dict_hooks: OrderedDict[int, _SavedHook]
    _state_dict_pre_hooks: OrderedDict[int, Hook]
    _load_state_dict_pre_hooks: OrderedDict[int, _LoadHook]
    _load_state_dict_post_hooks: OrderedDict[int, Hook]

    def register_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before `state_dict` reads this module."""
        return RemovableHandle.register(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after `state_dict`; it may change the dict in place."""
        with contextlib.suppress(AttributeError):  # a bound method takes no attribute
            hook._from_public_api = True  # type: ignore[attr-defined]
        return RemovableHandle.register(self._state_dict_hooks, _SavedHook(hook, False))

    def _register_state_dict_hook(self, hook: Hook) -> RemovableHandle:
        """Do as `register_state_dict_post_hook`; what the root module's hook returns replaces the dict."""
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError(
                "Cannot register the same function as the state dict post hook that was previously registered via "
                "register_state_dict_post_hook"
            )
        return RemovableHandle.register(self._state_dict_hooks, _SavedHook(hook, True))

    def register_load_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)`.

        Before this module loads its own tensors; the hook may change the dict and the three lists in place.
        """
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(self, hook: Hook, with_module: bool = False) -> RemovableHandle:
        """Do as `register_load_state_dict_pre_hook`; without `with_module`, `hook` is not given the module."""
        return RemovableHandle.register(self._load_state_dict_pre_hooks, _LoadHook(hook, with_module))

    def register_load_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after this module and all below it were loaded.

        It may change the two lists in place, by which `strict` then judges.
        """
        return RemovableHandle.register(self._load_state_dict_post_hooks, hook)

    # ------------------------------------------------------------ running
    def _before_saving(self, prefix: str, keep_vars: bool) -> None:
        for hook in list(self._state_dict_pre_hooks.values()):
            hook(self, prefix, keep_vars)

    def _after_saving(self, destination: Any, prefix: str, local_metadata: Any) -> Any:
        """Run the hooks; return the dict, or what stands for it."""
        for hook in list(self._state_dict_hooks.values()):
            found = hook.function(self, destination, prefix, local_metadata)
            if found is not None and not hook.may_replace:
                raise RuntimeError("state_dict post-hook must return None")
            destination = destination if found is None else found
        return destination

    def _before_loading(self, state_dict: MutableMapping[str, Any], *rest: Any) -> None:
        for hook in list(self._load_state_dict_pre_hooks.values()):
            hook.function(*((self,) if hook.with_module else ()), state_dict, *rest)

    def _after_loading(self, incompatible_keys: Any) -> None:
        for hook in list(self._load_state_dict_post_hooks.values()):
            if hook(self, incompatible_keys) is not None:
                raise AssertionError(
                    "Hooks registered with ``register_load_state_dict_post_hook`` are not expected to return new values, if "
                    "incompatible_keys need to be modified, it should be done inplace."
                )
