"""Composites of the embedding family."""

from __future__ import annotations

from typing import Any

from gradwire_protocol.composites.base import Callable_
from gradwire_protocol.ops import OPS

__all__ = ["EmbeddingComposites", "check_sparse"]

_EMBEDDING, _BAG = OPS["embedding"], OPS["_embedding_bag"]


def check_sparse(weight: Any, sparse: bool) -> None:
    """Refuse `sparse=True` where it would matter: in the layout of a weight's gradient."""
    if sparse and weight.requires_grad:
        raise RuntimeError(
            "sparse=True asks for a sparse gradient of the weight, and gradwire has dense tensors only; leave it out, or "
            "look up in weight.detach()"
        )


class EmbeddingComposites(Callable_):
    """Methods of the embedding family that are written by hand."""

    __slots__ = ()

    def embedding(
        self, indices: Any, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
    ) -> Any:
        """Pick rows of self: (V, D), (*) -> (*, D). The gradient of row `padding_idx` is zero."""
        check_sparse(self, sparse)
        return self._call(_EMBEDDING, (self, indices), (padding_idx, scale_grad_by_freq))

    def embedding_bag(
        self, indices: Any, offsets: Any, scale_grad_by_freq: bool = False, mode: int = 0, sparse: bool = False,
        per_sample_weights: Any = None, include_last_offset: bool = False, padding_idx: int | None = None,
    ) -> Any:  # fmt: skip
        """Reduce rows of self bag by bag: (V, D), (N), (B) -> (B, D), and what the gradient needs: (N), (B), (B).

        Bag i begins at `offsets[i]`; with `include_last_offset` the last offset ends the last bag.
        """
        check_sparse(self, sparse)
        if padding_idx is not None:
            rows = self.meta.shape[0]
            if not -rows <= padding_idx < rows:
                raise RuntimeError(
                    f"padding_idx must be within the number of embeddings, -{rows} through {rows - 1}, but got {padding_idx}"
                )
            padding_idx %= rows
        statics = (scale_grad_by_freq, mode, include_last_offset, -1 if padding_idx is None else padding_idx)
        return self._call(_BAG, (self, indices, offsets, per_sample_weights), statics)
