"""Composites that cut a tensor into pieces along an axis, beyond `split` and `chunk`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Self

from gradwire_protocol.composites.base import Callable_
from gradwire_protocol.infer import normalize_dim

__all__ = ["SplittingComposites"]

Sections = int | Sequence[int]


def _copies(pieces: Any) -> Any:
    return tuple(piece.clone() for piece in pieces)


class SplittingComposites(Callable_):
    """Methods that return pieces: views, or copies where the name says unsafe."""

    __slots__ = ()

    def tensor_split(
        self,
        indices_or_sections: Sections | None = None,
        dim: int = 0,
        *,
        indices: Sequence[int] | None = None,
        sections: int | None = None,
    ) -> tuple[Self, ...]:
        """Return views of pieces of axis `dim`: so many of nearly one length, or cut before the given places.

        What it is cut by may be named by its kind, `indices` or `sections`.
        """
        given = [value for value in (indices_or_sections, indices, sections) if value is not None]
        if len(given) != 1:
            raise TypeError(
                "tensor_split() received an invalid combination of arguments - it needs one of indices_or_sections, indices "
                f"and sections; got {len(given)} of them"
            )
        if not self.meta.ndim:
            raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
        whole: Any = self
        size = self.meta.shape[normalize_dim(dim, self.meta.ndim)]
        if not isinstance(given[0], int):
            # Places as of Python slices: negative ones count from the end, and a piece may be empty.
            cuts = [0, *given[0], size]
            return tuple(whole.slice(dim, start, end) for start, end in pairwise(cuts))
        count = given[0]
        if count <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {count}")
        longer = size % count
        return whole.split([size // count + (index < longer) for index in range(count)], dim)  # type: ignore[no-any-return]

    def _split_along(self, name: str, ndim: int, dim: int, given: Any) -> tuple[Self, ...]:
        """Split along an axis as numpy does, which refuses pieces of several lengths."""
        if self.meta.ndim < ndim:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {ndim} dimension{'s' * (ndim > 1)}, but got a tensor with "
                f"{self.meta.ndim} dimensions!"
            )
        if isinstance(given, int):
            size = self.meta.shape[dim]
            if given == 0 or size % given:
                raise RuntimeError(
                    f"torch.{name} attempted to split along dimension {dim}, but the size of the dimension {size} is not "
                    f"divisible by the split_size {given}!"
                )
        return self.tensor_split(given, dim)

    def hsplit(self, indices_or_sections: Sections) -> tuple[Self, ...]:
        """Return views of pieces side by side: of axis 1, or of the only axis."""
        return self._split_along("hsplit", 1, 0 if self.meta.ndim == 1 else 1, indices_or_sections)

    def vsplit(self, indices_or_sections: Sections) -> tuple[Self, ...]:
        """Return views of pieces of axis 0 of a tensor with at least two axes."""
        return self._split_along("vsplit", 2, 0, indices_or_sections)

    def dsplit(self, indices_or_sections: Sections) -> tuple[Self, ...]:
        """Return views of pieces of axis 2."""
        return self._split_along("dsplit", 3, 2, indices_or_sections)

    def unsafe_split(self, split_size: int, dim: int = 0) -> tuple[Self, ...]:
        """Return copies of the pieces of `split`; PyTorch leaves open whether they share memory."""
        whole: Any = self
        return _copies(whole.split(split_size, dim))  # type: ignore[no-any-return]

    def unsafe_split_with_sizes(self, split_sizes: Sequence[int], dim: int = 0) -> tuple[Self, ...]:
        """Return copies of the pieces of `split_with_sizes`."""
        whole: Any = self
        return _copies(whole.split_with_sizes(split_sizes, dim))  # type: ignore[no-any-return]

    def unsafe_chunk(self, chunks: int, dim: int = 0) -> tuple[Self, ...]:
        """Return copies of the pieces of `chunk`."""
        whole: Any = self
        return _copies(whole.chunk(chunks, dim))  # type: ignore[no-any-return]
