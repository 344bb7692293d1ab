"""What a dense Tensor answers to questions about sparse storage, and the mark by which a call knows a sparse argument."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire_protocol.dtypes import DType
from gradwire_protocol.meta import Meta, contiguous_strides

__all__ = ["SparseMeta", "SparseMethods", "check_dense", "dense_parts", "refusal", "run_sparse", "sparse_again"]


class SparseMeta(Meta):
    """The meta of a sparse tensor. Not interned, so no signature is ever found for it, and dense calls pay no check."""

    __slots__ = ()

    def __init__(self, shape: tuple[int, ...], dtype: DType) -> None:
        """Have the strides of the dense tensor that it stands for, which rules of shapes go by."""
        super().__init__(shape, dtype, contiguous_strides(shape))


def run_sparse(op: Any, tensors: Any, statics: Any, scalars: Any, lengths: Any) -> Any:
    """Run a call that has a sparse tensor among its arguments."""
    from gradwire.sparse.kernels import run

    return run(op, tensors, statics, scalars, lengths)


def refusal(name: str, tensor: Any) -> NotImplementedError:
    """Return the error of an op that is not there for sparse tensors, in the words of PyTorch's dispatcher."""
    backend = "SparseCUDA" if tensor.is_cuda else "SparseCPU"
    return NotImplementedError(
        f"Could not run 'aten::{name}' with arguments from the '{backend}' backend. gradwire has no such op for sparse "
        "tensors; call to_dense() first."
    )


def check_dense(name: str, tensor: Any) -> None:
    """Raise NotImplementedError for a sparse tensor, where only sizes and dtype would be looked at."""
    if type(tensor.meta) is SparseMeta:
        raise refusal(name, tensor)


def dense_parts(tensors: Sequence[Any]) -> list[Any]:
    """Return the values, which autograd knows, in place of each sparse tensor."""
    return [tensor.held if type(tensor.meta) is SparseMeta else tensor for tensor in tensors]


def sparse_again(tensors: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    """Return the gradients of `dense_parts(tensors)` as those of `tensors`: at the same places where these are sparse."""
    return [
        tensor.with_values(value) if value is not None and type(tensor.meta) is SparseMeta else value
        for tensor, value in zip(tensors, values, strict=True)
    ]


def _expected(name: str, layout: str = "sparse coordinate tensor layout") -> Any:
    def refuse(self: Any) -> Any:
        raise RuntimeError(f"{name} expected {layout} but got Strided")

    refuse.__name__ = name
    refuse.__doc__ = f"Raise RuntimeError: `{name}` is there for sparse tensors."
    return refuse


class SparseMethods:
    """Mixed into Tensor."""

    __slots__ = ()

    coalesce = _expected("coalesce")
    is_coalesced = _expected("is_coalesced")
    indices = _expected("indices")
    values = _expected("values", "sparse tensor layout")

    def to_sparse(self: Any, sparse_dim: int | None = None, *, layout: Any = None, dense_dim: int | None = None) -> Any:
        """Return the elements that are not 0 with their places; with `sparse_dim`, slices over the axes after it. Waits."""
        from gradwire.sparse.construction import to_sparse

        return to_sparse(self, sparse_dim, layout, dense_dim)

    def to_sparse_coo(self: Any) -> Any:
        """Return the elements that are not 0 with their places. Waits."""
        return self.to_sparse()

    def to_dense(self: Any, dtype: DType | None = None, *, masked_grad: bool | None = None) -> Any:
        """Return this tensor, which is dense, in another dtype if one is given."""
        return self if dtype is None else self.to(dtype)

    def sparse_mask(self: Any, mask: Any) -> Any:
        """Return the elements at the places that a sparse tensor of the same sizes has, as a sparse tensor."""
        from gradwire.sparse.construction import sparse_mask

        return sparse_mask(self, mask)

    def sparse_dim(self: Any) -> int:
        """Return the number of axes that places are kept for: 0."""
        return 0

    def dense_dim(self: Any) -> int:
        """Return the number of axes that all elements are kept for."""
        return int(self.meta.ndim)
