"""`tensor.float()` and the like, with the memory format that PyTorch's take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradwire.memory import check_memory_format, preserve_format
from gradwire_protocol.composites.pointwise import PointwiseComposites

__all__ = ["CastMethods"]


def _cast(name: str) -> Callable[..., Any]:
    """Return the cast `name` of tensors, which takes a memory format too."""
    plain = getattr(PointwiseComposites, name)

    def cast(self: Any, memory_format: Any = preserve_format) -> Any:
        check_memory_format(name, memory_format, self.meta.ndim)
        return plain(self)

    cast.__name__, cast.__doc__ = name, plain.__doc__
    return cast


class CastMethods:
    """Mixed into Tensor."""

    __slots__ = ()

    float, double, half, bfloat16 = _cast("float"), _cast("double"), _cast("half"), _cast("bfloat16")
    byte, char, short, int, long = _cast("byte"), _cast("char"), _cast("short"), _cast("int"), _cast("long")
    bool, cfloat, cdouble = _cast("bool"), _cast("cfloat"), _cast("cdouble")
