"""Methods of one axis that also take it by numpy's name, `axis`, as PyTorch's do."""

from __future__ import annotations

from typing import Any, Self

import gradwire_protocol.ops  # noqa: F401  (fills OPS)
from gradwire_protocol.composites.base import Callable_
from gradwire_protocol.registry import OPS

__all__ = ["AxisNameComposites", "named_dim"]

_INDEX_SELECT, _LOGCUMSUMEXP, _SELECT = OPS["index_select"], OPS["logcumsumexp"], OPS["select.int"]
_UNBIND, _UNSQUEEZE = OPS["unbind.int"], OPS["unsqueeze"]


def named_dim(name: str, dim: Any, axis: Any) -> Any:
    """Return the axis, by whichever of its names it was given; raise TypeError if by both, or by none."""
    if axis is None:
        if dim is None:
            raise TypeError(f'{name}() missing 1 required positional arguments: "dim"')
        return dim
    if dim is not None:
        raise TypeError(f"{name}() got an unexpected keyword argument 'axis'; dim={dim} names it already")
    return axis


def _given_index(name: str, index: Any) -> Any:
    if index is None:
        raise TypeError(f'{name}() missing 1 required positional arguments: "index"')
    return index


class AxisNameComposites(Callable_):
    """Methods of one axis."""

    __slots__ = ()

    def unsqueeze(self, dim: int | None = None, *, axis: int | None = None) -> Self:
        """Return a view with an axis of size 1 more, before axis `dim`."""
        return self._call(_UNSQUEEZE, (self,), (named_dim("unsqueeze", dim, axis),))  # type: ignore[no-any-return]

    def unbind(self, dim: int | None = None, *, axis: int | None = None) -> tuple[Self, ...]:
        """Return the slices of an axis, by default the first, as views."""
        dim = 0 if dim is None and axis is None else named_dim("unbind", dim, axis)
        return self._call(_UNBIND, (self,), (dim,))  # type: ignore[no-any-return]

    def select(self, dim: int | None = None, index: int | None = None, *, axis: int | None = None) -> Self:
        """Return one slice of an axis, as a view."""
        statics = (named_dim("select", dim, axis), _given_index("select", index))
        return self._call(_SELECT, (self,), statics)  # type: ignore[no-any-return]

    def index_select(self, dim: int | None = None, index: Self | None = None, *, axis: int | None = None) -> Self:
        """Return the slices of an axis that a vector names, in its order."""
        tensors = (self, _given_index("index_select", index))
        return self._call(_INDEX_SELECT, tensors, (named_dim("index_select", dim, axis),))  # type: ignore[no-any-return]

    def logcumsumexp(self, dim: int | None = None, *, axis: int | None = None) -> Self:
        """Return the logarithm of the cumulative sums of exponentials along an axis."""
        return self._call(_LOGCUMSUMEXP, (self,), (named_dim("logcumsumexp", dim, axis),))  # type: ignore[no-any-return]
