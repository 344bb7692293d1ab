"""Copies of what views show: `expand_copy` and the like, for programs that must not share memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradwire.tensor import Tensor, expect_tensor

__all__ = [
    "alias_copy", "as_strided_copy", "detach_copy", "diagonal_copy", "expand_copy", "narrow_copy", "permute_copy", "select_copy",
    "slice_copy", "split_copy", "split_with_sizes_copy", "squeeze_copy", "t_copy", "transpose_copy", "unbind_copy",
    "unfold_copy", "unsqueeze_copy", "view_copy",
]  # fmt: skip


def _copying(name: str) -> Callable[..., Any]:
    """Return the function that copies what the view method `name` shows."""

    def function(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        seen = getattr(expect_tensor(f"{name}_copy", input), name)(*args, **kwargs)
        return tuple(piece.clone() for piece in seen) if isinstance(seen, tuple) else seen.clone()

    function.__name__ = function.__qualname__ = f"{name}_copy"
    function.__doc__ = f"Return a copy of `input.{name}(...)`, or copies of its pieces."
    return function


as_strided_copy, detach_copy, diagonal_copy = _copying("as_strided"), _copying("detach"), _copying("diagonal")
permute_copy, select_copy = _copying("permute"), _copying("select")
slice_copy, split_copy, split_with_sizes_copy = _copying("slice"), _copying("split"), _copying("split_with_sizes")
squeeze_copy, t_copy, transpose_copy = _copying("squeeze"), _copying("t"), _copying("transpose")
unbind_copy, unfold_copy, unsqueeze_copy = _copying("unbind"), _copying("unfold"), _copying("unsqueeze")
view_copy = _copying("view")


def alias_copy(input: Tensor) -> Any:
    """Return a copy of `input`."""
    return expect_tensor("alias_copy", input).clone()


def narrow_copy(input: Tensor, dim: int, start: int, length: int) -> Any:
    """Return a copy of `input.narrow(dim, start, length)`."""
    return expect_tensor("narrow_copy", input).narrow_copy(dim, start, length)


def expand_copy(input: Tensor, size: Any, *, implicit: bool = False) -> Any:
    """Return a copy of `input.expand(size)`; `implicit` is PyTorch's mark for a tracer, without an effect here or there."""
    return expect_tensor("expand_copy", input).expand(tuple(size)).clone()
