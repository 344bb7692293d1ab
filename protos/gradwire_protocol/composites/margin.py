"""Losses that ask for a margin between scores or distances. `reduction` is ATen's number: 0 none, 1 mean, 2 sum.

Formulas and refusals: pytorch/aten/src/ATen/native/Loss.cpp, LossMultiMargin.cpp and LossMultiLabelMargin.cpp.
"""

from __future__ import annotations

from typing import Any

from gradwire_protocol.composites.base import Callable_
from gradwire_protocol.composites.loss import reduced
from gradwire_protocol.dtypes import Category, int64
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.normalization import expect_real
from gradwire_protocol.registry import torch_type_name

__all__ = ["MarginComposites"]

_COSINE_FLOOR = 1e-12


def _check_classes(self: Meta) -> None:
    if self.ndim > 2 or (self.ndim and not self.shape[-1]):
        raise RuntimeError(
            f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(self.shape)}"
        )


def _check_multi_margin(self: Meta, target: Meta, p: int, weight: Meta | None) -> None:
    if p not in (1, 2):
        raise RuntimeError("only p == 1 and p == 2 supported")
    _check_classes(self)
    samples = self.shape[0] if self.ndim == 2 else 1
    if target.ndim > 1 or target.numel != samples:
        raise RuntimeError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of input samples (batch size). "
            f"Expected target size [{samples}], but got {list(target.shape)}. Input has shape {list(self.shape)}."
        )
    classes = self.shape[-1] if self.ndim else 1
    if weight is not None and (weight.ndim > 1 or weight.numel != classes):
        raise RuntimeError(f"inconsistent weight size, expected {classes} but got {list(weight.shape)}")
    expect_real("multi_margin_loss_cpu_kernel", self)
    _expect("Long", target)
    if weight is not None:
        _expect(torch_type_name(self.dtype), weight)


def _expect(name: str, meta: Meta) -> None:
    if torch_type_name(meta.dtype) != name:
        raise RuntimeError(f"expected scalar type {name} but found {torch_type_name(meta.dtype)}")


def _check_triplet(anchor: Meta, positive: Meta, negative: Meta) -> None:
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs"
        )


def _check_cosine(input1: Meta, input2: Meta, target: Meta) -> None:
    if target.ndim > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    wanted = target.ndim + 1
    if input1.ndim != wanted or input2.ndim != wanted:
        raise RuntimeError(
            f"{target.ndim}D target tensor expects {wanted}D input tensors, but found inputs with sizes "
            f"{list(input1.shape)} and {list(input2.shape)}."
        )


class MarginComposites(Callable_):
    """Methods of the margin losses."""

    __slots__ = ()

    def hinge_embedding_loss(self, target: Any, margin: float = 1.0, reduction: int = 1) -> Any:
        """Return self where the target is 1, max(0, margin - self) where it is -1, reduced."""
        me: Any = self
        zeros = me.zeros_like()
        far = (margin - me).clamp_min(0).where(target.ne(1), zeros)
        return reduced(far + me.where(target.ne(-1), zeros), reduction)

    def margin_ranking_loss(self, input2: Any, target: Any, margin: float = 0.0, reduction: int = 1) -> Any:
        """Return max(0, -target * (self - input2) + margin), reduced."""
        me: Any = self
        return reduced((-target * (me - input2) + margin).clamp_min(0), reduction)

    def cosine_embedding_loss(self, input2: Any, target: Any, margin: float = 0.0, reduction: int = 1) -> Any:
        """Return 1 - cos where the target is 1, max(0, cos - margin) where it is -1: (N, D), (N, D), (N)."""
        me: Any = self
        _check_cosine(self.meta, input2.meta, target.meta)
        dim = target.meta.ndim
        squares = ((me * me).sum(dim) + _COSINE_FLOOR) * ((input2 * input2).sum(dim) + _COSINE_FLOOR)
        cos = (me * input2).sum(dim) / squares.sqrt()
        zeros = cos.zeros_like()
        near = (1 - cos).where(target.eq(1), zeros)
        return reduced(near + (cos - margin).clamp_min(0).where(target.eq(-1), zeros), reduction)

    def triplet_margin_loss(
        self, positive: Any, negative: Any, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False,
        reduction: int = 1,
    ) -> Any:  # fmt: skip
        """Return max(0, d(self, positive) - d(self, negative) + margin), reduced, with d the distance of the p-norm.

        With `swap`, d(positive, negative) stands in for d(self, negative) where it is smaller.
        """
        me: Any = self
        _check_triplet(self.meta, positive.meta, negative.meta)
        near, far = me.pairwise_distance(positive, p, eps), me.pairwise_distance(negative, p, eps)
        if swap:
            far = far.minimum(positive.pairwise_distance(negative, p, eps))
        return reduced((margin + near - far).clamp_min(0), reduction)

    def soft_margin_loss(self, target: Any, reduction: int = 1) -> Any:
        """Return log(1 + exp(-target * self)), reduced."""
        me: Any = self
        if self.meta.dtype.category < Category.FLOAT:
            raise RuntimeError(
                f"result type Float can't be cast to the desired output type {torch_type_name(self.meta.dtype)}"
            )
        return reduced((-target * me).exp().log1p(), reduction)

    def multi_margin_loss(
        self, target: Any, p: int = 1, margin: float = 1, weight: Any = None, reduction: int = 1
    ) -> Any:
        """Return the mean over the classes i of max(0, margin - self[target] + self[i])^p, i = target left out."""
        me: Any = self
        _check_multi_margin(self.meta, target.meta, p, None if weight is None else weight.meta)
        rows = me if self.meta.ndim == 2 else me.reshape(1, -1)
        index = target.reshape(-1, 1)
        # Of relu, the slope at 0 is 0, as PyTorch's here.
        terms = (margin - rows.gather(1, index) + rows).relu()
        terms = terms if p == 1 else terms * terms
        if weight is not None:
            terms = terms * weight.reshape(-1).index_select(0, index.reshape(-1)).unsqueeze(1)
        loss = terms.scatter(1, index, 0.0).sum(1) / rows.meta.shape[1]
        return reduced(loss if self.meta.ndim == 2 else loss.reshape(()), reduction)

    def multilabel_margin_loss(self, target: Any, reduction: int = 1) -> Any:
        """Return the sum of max(0, 1 - self[j] + self[i]) over targets j and others i, divided by the classes.

        The targets of a sample are the classes before its first -1: (C) and (C), or (N, C) and (N, C).
        """
        me: Any = self
        _check_classes(self.meta)
        if target.meta.shape != self.meta.shape:
            raise RuntimeError(
                f"inconsistent target size: {list(target.meta.shape)} for input of size: {list(self.meta.shape)}"
            )
        expect_real("multilabel_margin_loss_forward_out_frame", self.meta)
        _expect("Long", target.meta)
        classes = self.meta.shape[-1] if self.meta.ndim else 1
        rows, named = me.reshape(-1, classes), target.reshape(-1, classes)
        counts = named.eq(-1).cumsum(1).eq(0)
        index = named.masked_fill(counts.logical_not(), 0)
        others = index.zeros_like().scatter_add(1, index, counts._to_dtype(int64)).eq(0)
        pairs = counts.unsqueeze(2).logical_and(others.unsqueeze(1))
        terms = (1 - rows.gather(1, index).unsqueeze(2) + rows.unsqueeze(1)).relu() * pairs
        loss = terms.sum((1, 2)) / classes
        return reduced(loss if self.meta.ndim == 2 else loss.reshape(()), reduction)
