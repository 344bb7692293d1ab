"""`RemovableHandle`: what registering a hook returns, be it on a module, a tensor, a node or an optimizer."""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict
from typing import Any

__all__ = ["RemovableHandle"]


class RemovableHandle:
    """Stands for one registered hook; `remove()`, or leaving a `with` block, takes it away.

    Holds the dict weakly: a handle that is kept does not keep the module alive.
    """

    _ids = itertools.count()

    def __init__(self, hooks: OrderedDict[int, Any]) -> None:
        self.id = next(RemovableHandle._ids)
        self._hooks = weakref.ref(hooks)

    @classmethod
    def register(cls, hooks: OrderedDict[int, Any], hook: Any, prepend: bool = False) -> RemovableHandle:
        """Add `hook` to `hooks`, at the front if `prepend`, and return its handle."""
        handle = cls(hooks)
        hooks[handle.id] = hook
        if prepend:
            hooks.move_to_end(handle.id, last=False)
        return handle

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        hooks = self._hooks()
        if hooks is not None:
            hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
