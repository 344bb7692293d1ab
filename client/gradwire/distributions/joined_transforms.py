"""`CatTransform` and `StackTransform`: parts of a tensor along an axis, each with a map of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradwire as gw
from gradwire.distributions import constraints
from gradwire.distributions.parameters import sum_rightmost
from gradwire.distributions.transform import Transform

__all__ = ["CatTransform", "StackTransform"]


class _JoinedTransform(Transform):
    """What both share: a kind says into which parts `_parts` a tensor falls, and how `_join` puts them together."""

    def __init__(self, tseq: Sequence[Transform], dim: int, cache_size: int) -> None:
        if not all(isinstance(part, Transform) for part in tseq):
            raise AssertionError("All elements of tseq must be Transform instances")
        super().__init__(cache_size=cache_size)
        self.transforms = [part.with_cache(cache_size) for part in tseq] if cache_size else list(tseq)
        self.dim = dim
        self.bijective = all(part.bijective for part in self.transforms)

    def _parts(self, name: str, whole: Any) -> Sequence[Any]:
        raise NotImplementedError

    def _join(self, parts: list[Any]) -> Any:
        raise NotImplementedError

    def _check(self, name: str, whole: Any, length: int, what: str) -> None:
        if not -whole.dim() <= self.dim < whole.dim():
            given = "tensor" if name in ("x", "y") else name
            raise AssertionError(f"dim {self.dim} out of range for {given} with {whole.dim()} dimensions")
        size = whole.size(self.dim)
        if size != length:
            raise AssertionError(f"{name}.size({self.dim}) = {size} must equal {what} {length}")

    def _call(self, x: Any) -> Any:
        return self._join([part(piece) for part, piece in zip(self.transforms, self._parts("x", x), strict=True)])

    def _inverse(self, y: Any) -> Any:
        return self._join([part.inv(piece) for part, piece in zip(self.transforms, self._parts("y", y), strict=True)])


class CatTransform(_JoinedTransform):
    """Applies maps to pieces of `lengths` places each of axis `dim`, one by default: as `torch.cat` joins them."""

    def __init__(
        self, tseq: Sequence[Transform], dim: int = 0, lengths: Sequence[int] | None = None, cache_size: int = 0
    ) -> None:
        super().__init__(tseq, dim, cache_size)
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.transforms):
            raise AssertionError(f"lengths ({len(self.lengths)}) must match transforms ({len(self.transforms)})")
        self.length = sum(self.lengths)
        self.domain: Any = constraints.cat([part.domain for part in self.transforms], dim, self.lengths)
        self.codomain: Any = constraints.cat([part.codomain for part in self.transforms], dim, self.lengths)

    @property
    def event_dim(self) -> int:
        """Return the event axes of the widest part."""
        return max(part.event_dim for part in self.transforms)

    def with_cache(self, cache_size: int = 1) -> Transform:
        """Return the same maps with or without the last pair kept."""
        if self._cache_size == cache_size:
            return self
        return CatTransform(self.transforms, self.dim, self.lengths, cache_size)

    def _parts(self, name: str, whole: Any) -> Sequence[Any]:
        self._check(name, whole, self.length, "length")
        return whole.split(self.lengths, self.dim)  # type: ignore[no-any-return]

    def _join(self, parts: list[Any]) -> Any:
        return gw.cat(parts, dim=self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """Return the parts' along `dim`, or their sum where `dim` is one of the event's axes."""
        event_dim = self.event_dim
        found = [
            sum_rightmost(part.log_abs_det_jacobian(piece, image), event_dim - part.event_dim)
            for part, piece, image in zip(self.transforms, self._parts("x", x), self._parts("y", y), strict=True)
        ]
        dim = event_dim + (self.dim - x.dim() if self.dim >= 0 else self.dim)
        return gw.cat(found, dim=dim) if dim < 0 else sum(found[1:], start=found[0])


class StackTransform(_JoinedTransform):
    """Applies a map to each place of axis `dim`: as `torch.stack` joins them."""

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(tseq, dim, cache_size)
        self.domain: Any = constraints.stack([part.domain for part in self.transforms], dim)
        self.codomain: Any = constraints.stack([part.codomain for part in self.transforms], dim)

    def with_cache(self, cache_size: int = 1) -> Transform:
        """Return the same maps with or without the last pair kept."""
        return self if self._cache_size == cache_size else StackTransform(self.transforms, self.dim, cache_size)

    def _parts(self, name: str, whole: Any) -> Sequence[Any]:
        self._check(name, whole, len(self.transforms), "len(transforms)")
        return whole.unbind(self.dim)  # type: ignore[no-any-return]

    def _join(self, parts: list[Any]) -> Any:
        return gw.stack(parts, dim=self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """Return the parts' along `dim`."""
        pieces, images = self._parts("x", x), self._parts("y", y)
        return gw.stack(
            [
                part.log_abs_det_jacobian(piece, image)
                for part, piece, image in zip(self.transforms, pieces, images, strict=True)
            ],
            dim=self.dim,
        )
