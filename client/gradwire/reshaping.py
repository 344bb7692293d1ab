"""`x.unsqueeze_(0)` and the like: a tensor becomes a view of what it was, under the same name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradwire.autograd.grad_mode import state as grad_state

__all__ = ["ReshapingMethods"]

_AUTOGRAD_STATE = ("offset", "node", "output_nr", "leaf_requires_grad", "base", "base_version", "view_kind")


def _becoming(name: str) -> Callable[..., Any]:
    """Return the in-place form of the view `name`."""

    def become(self: Any, *args: Any, **kwargs: Any) -> Any:
        from gradwire.tensor import Tensor

        recorded = grad_state.recording and self.requires_grad
        if recorded and self.node is None:
            raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
        old = Tensor._make(self.session, self.handle, self.meta, self.storage)
        for field in _AUTOGRAD_STATE:
            setattr(old, field, getattr(self, field))
        if hasattr(self, "within"):
            old.within = self.within
        try:
            view = getattr(old, name)(*args, **kwargs)
        except BaseException:
            old.handle = 0  # still `self`'s
            raise
        if view is old:
            old.handle = 0
            return self
        self.handle, self.meta, self.offset = view.handle, view.meta, view.offset
        view.handle = 0
        if recorded:
            for field in _AUTOGRAD_STATE[1:]:
                setattr(self, field, getattr(view, field))
        return self

    become.__name__ = f"{name}_"
    become.__doc__ = f"Become `{name}` of this tensor, on the same memory. A leaf that requires grad may not."
    return become


class ReshapingMethods:
    """Mixed into Tensor."""

    __slots__ = ()

    squeeze_, unsqueeze_, t_ = _becoming("squeeze"), _becoming("unsqueeze"), _becoming("t")
    transpose_, swapaxes_, swapdims_ = _becoming("transpose"), _becoming("swapaxes"), _becoming("swapdims")
    as_strided_ = _becoming("as_strided")
