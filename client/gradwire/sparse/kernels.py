"""What each op does with a sparse tensor among its arguments, by its ATen name; all other ops are refused.

The counterpart of PyTorch's SparseCPU backend. A function here takes the op's arguments in the schema's order, and returns
NotImplemented for forms that it does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradwire.functions.joining import cat
from gradwire.sparse import indexing, products, reductions
from gradwire.sparse.construction import empty_sparse
from gradwire.sparse.places import gathered, numbered, shared_places, summed
from gradwire.sparse.tensor import SparseTensor, sparse
from gradwire.sparse_methods import refusal
from gradwire.workers import on
from gradwire_protocol.dtypes import DType, promote_types
from gradwire_protocol.ops import OPS
from gradwire_protocol.registry import Op

__all__ = ["run"]

Kernel = Callable[..., Any]

_NO_ADD = "add(sparse, dense) is not supported. Use add(dense, sparse) instead."


def run(op: Op, tensors: Sequence[Any], statics: Sequence[Any], scalars: Sequence[Any], lengths: Sequence[int]) -> Any:
    """Run an op; raise NotImplementedError if it has no kernel for these arguments."""
    kernel = _KERNELS.get(op.name)
    first = next(tensor for tensor in tensors if isinstance(tensor, SparseTensor))
    with on(first.session):
        found = kernel(*op.arrange(tensors, statics, scalars, lengths)) if kernel else NotImplemented
    if found is NotImplemented:
        raise refusal(op.name.replace("gw::", ""), first)
    if isinstance(found, SparseTensor) and not found.made_by:
        found.made_by = op.node_name
    return found


def _on_values(op: Op, *arguments: Any) -> Any:
    """Call an op on its arguments in the schema's order, of which the first is a dense tensor."""
    return arguments[0]._call(op, *op.split(arguments))


def _linear(name: str) -> Kernel:
    """Return a kernel that may look at each value alone, since f(a) + f(b) == f(a + b)."""
    op = OPS[name]
    return lambda self, *rest: self.with_values(_on_values(op, self.held, *rest))


def _on_sums(name: str) -> Kernel:
    """Return a kernel of a function with f(0) == 0, which needs doubles to be summed first."""
    op = OPS[name]

    def kernel(self: Any, *rest: Any) -> Any:
        if any(isinstance(value, SparseTensor) for value in rest):
            return NotImplemented
        self = self.coalesce()
        return self.with_values(_on_values(op, self.held, *rest))

    return kernel


def _in_place(name: str) -> Kernel:
    """Return a kernel that writes to the values."""
    op = OPS[name]

    def kernel(self: Any, *rest: Any) -> Any:
        if any(isinstance(value, SparseTensor) for value in rest):
            return NotImplemented
        _on_values(op, self.held, *rest)
        return self

    return kernel


# ---------------------------------------------------------------- addition
def _check_same_size(left: Any, right: Any) -> None:
    if left.shape == right.shape:
        return
    if isinstance(left, SparseTensor):
        raise RuntimeError(
            f"add: expected sizes of 'self' and 'other' to match, but {list(left.shape)} != {list(right.shape)}"
        )
    raise RuntimeError(
        f"add: expected 'self' and 'other' to have same size, but self has size {list(left.shape)} while other has size "
        f"{list(right.shape)} (FYI: dense-sparse addition does not currently support broadcasting)"
    )


def _scaled(held: Any, alpha: Any) -> Any:
    return held if alpha == 1 else held * alpha


def _add(self: Any, other: Any, alpha: Any = 1) -> Any:
    """Return dense + sparse, dense, or sparse + sparse, sparse: entries of both, summed if both are coalesced."""
    if not isinstance(other, SparseTensor):
        raise RuntimeError(_NO_ADD)
    _check_same_size(self, other)
    dtype = promote_types(self.dtype, other.dtype)
    values = _scaled(other.held.to(dtype), alpha)
    if not isinstance(self, SparseTensor):
        added = summed(values, numbered(other.places, other._sparse_shape), _count(other)).view(self.shape)
        return self.to(dtype) + added
    if self.sparse_dim() != other.sparse_dim():
        raise RuntimeError("add: expected 'self' and 'other' to have same number of sparse dimensions")
    if self.places is other.places:
        return self.with_values(self.held.to(dtype) + values)
    held = cat([self.held.to(dtype), values])
    made = sparse(cat([self.places, other.places], 1), held, self.shape)
    return _anonymous(made.coalesce()) if self.coalesced and other.coalesced else made


def _anonymous(self: SparseTensor) -> SparseTensor:
    """Let the op name the node, not a step of it."""
    self.made_by = ""
    return self


def _count(self: SparseTensor) -> int:
    count = 1
    for size in self._sparse_shape:
        count *= size
    return count


def _sub(self: Any, other: Any, alpha: Any = 1) -> Any:
    return _add(self, other, -alpha)


def _rsub(self: Any, other: Any, alpha: Any = 1) -> Any:
    return _add(other, self, -alpha)


def _add_(self: Any, other: Any, alpha: Any = 1) -> Any:
    """Add in place: to a dense tensor at the places, to a sparse one by becoming the sum."""
    if isinstance(self, SparseTensor):
        if self.requires_grad or getattr(other, "requires_grad", False):
            return NotImplemented
        made = _add(self, other, alpha)
        self.places, self.held, self.coalesced = made.places, made.held.to(self.dtype), made.coalesced
        return self
    _check_same_size(self, other)
    added = summed(other.held.to(self.dtype), numbered(other.places, other._sparse_shape), _count(other))
    return self.add_(added.view(self.shape), alpha=alpha)


def _sub_(self: Any, other: Any, alpha: Any = 1) -> Any:
    return _add_(self, other, -alpha)


def _no_add(self: Any, *rest: Any) -> Any:
    raise RuntimeError(_NO_ADD)


def _no_rsub(self: Any, *rest: Any) -> Any:
    raise RuntimeError(
        f"add: expected 'self' and 'other' to have same size, but self has size [] while other has size {list(self.shape)} "
        "(FYI: dense-sparse addition does not currently support broadcasting)"
    )


# ---------------------------------------------------------------- multiplication
def _mul(self: Any, other: Any) -> Any:
    """Multiply elementwise; the result has the places of the sparse side, or those that both have."""
    if not isinstance(self, SparseTensor):
        return _mul(other, self)
    if not isinstance(other, SparseTensor):
        if not other.dim():
            return self.with_values(self.held * other)
        if len(other.shape) > self.dim() or any(
            size not in (1, mine) for size, mine in zip(other.shape[::-1], self.shape[::-1], strict=False)
        ):
            return NotImplemented
        return self.with_values(self.held * gathered(other.expand(self.shape), self.places))
    if self.shape != other.shape or self.sparse_dim() != other.sparse_dim():
        return NotImplemented
    self, other = self.coalesce(), other.coalesce()
    shape = self._sparse_shape
    lefts, rights = shared_places(numbered(self.places, shape), numbered(other.places, shape))
    held = self.held.index_select(0, lefts) * other.held.index_select(0, rights)
    return sparse(self.places.index_select(1, lefts), held, self.shape, True)


def _divided(kernel: Kernel) -> Kernel:
    """Return a kernel that divides by a number alone."""

    def divide(self: Any, other: Any, *rest: Any) -> Any:
        if isinstance(other, SparseTensor) or other.dim():
            raise RuntimeError(
                f"Sparse division requires a scalar or zero-dim dense tensor divisor (got shape {list(other.shape)} for divisor)"
            )
        return kernel(self, other, *rest)

    return divide


def _pow(self: Any, exponent: Any) -> Any:
    """Raise the values to a power; as in PyTorch a negative one leaves the zeros that are not kept alone."""
    if exponent == 0:
        raise RuntimeError("pow: cannot raise to zeroth power on sparse tensor; it would make the result tensor dense")
    return _on_sums("pow.Tensor_Scalar")(self, exponent)


# ---------------------------------------------------------------- copies and fillings
def _full_like(self: Any, value: Any, dtype: DType | None = None) -> Any:
    return NotImplemented if value != 0 else empty_sparse(tuple(self.shape), dtype or self.dtype, self.sparse_dim())


def _new_full(self: Any, size: Sequence[int], value: Any, dtype: DType | None = None) -> Any:
    return NotImplemented if value != 0 else empty_sparse(tuple(size), dtype or self.dtype)


def _zero_(self: Any) -> Any:
    if self.requires_grad:
        return NotImplemented
    empty = _full_like(self, 0)
    self.places, self.held, self.coalesced = empty.places, empty.held, True
    return self


def _copy_(self: Any, source: Any, non_blocking: bool = False) -> Any:
    if not isinstance(self, SparseTensor) or not isinstance(source, SparseTensor) or self.shape != source.shape:
        return NotImplemented
    if self.requires_grad or source.requires_grad:
        return NotImplemented
    copied = source.clone()
    self.places, self.held, self.coalesced = copied.places, copied.held.to(self.dtype), copied.coalesced
    return self


def _clone(self: Any) -> Any:
    return sparse(self.places.clone(), self.held.clone(), self.shape, self.coalesced)


def _any(self: Any) -> Any:
    return self.coalesce().held.any()


def _norm(self: Any, ord: Any, dim: Any, keepdim: bool, dtype: DType | None = None) -> Any:
    if (dim and len(dim) != self.dim()) or keepdim:
        raise RuntimeError(
            "norm_sparse currently only supports full reductions, so 'dim' must either be empty or contain all dimensions of "
            "the input"
        )
    return _on_values(OPS["linalg_vector_norm"], self.coalesce().held.reshape(-1), ord, None, False, dtype)


def _joined(tensors: Sequence[Any], dim: int) -> Any:
    return indexing.cat_of(tensors, dim)


def _stacked(tensors: Sequence[Any], dim: int) -> Any:
    return indexing.cat_of([tensor.unsqueeze(dim) for tensor in tensors], dim)


_LINEAR = ("neg", "mul.Scalar", "div.Scalar", "_to_dtype", "detach", "alias", "deg2rad", "rad2deg", "real", "imag")
_ON_SUMS = (
    "abs", "asin", "asinh", "atan", "atanh", "ceil", "div.Scalar_mode", "erf", "erfinv", "expm1", "floor",
    "floor_divide.Scalar", "frac", "isinf", "isnan", "isneginf", "isposinf", "log1p", "nan_to_num", "relu", "round",
    "round.decimals", "sgn", "sign", "signbit", "sin", "sinh", "sqrt", "tan", "tanh", "trunc",
)  # fmt: skip
_IN_PLACE = ("neg_", "mul_.Scalar", "div_.Scalar", "deg2rad_", "rad2deg_")

_KERNELS: dict[str, Kernel] = {
    **{name: _linear(name) for name in _LINEAR if name in OPS},
    **{name: _on_sums(name) for name in _ON_SUMS if name in OPS},
    **{name: _in_place(name) for name in _IN_PLACE if name in OPS},
    "pow.Tensor_Scalar": _pow,
    "add.Tensor": _add, "add.Scalar": _no_add, "add_.Tensor": _add_, "add_.Scalar": _no_add,
    "sub.Tensor": _sub, "sub.Scalar": _no_add, "sub_.Tensor": _sub_, "sub_.Scalar": _no_add,
    "rsub.Tensor": _rsub, "rsub.Scalar": _no_rsub,
    "mul.Tensor": _mul, "div.Tensor": _divided(_linear("div.Tensor")), "div.Tensor_mode": _divided(_on_sums("div.Tensor_mode")),
    "mm": products.mm, "mv": products.mv, "addmm": products.addmm, "bmm": products.bmm,
    "t": indexing.t, "transpose.int": indexing.transpose, "permute": indexing.permute, "unsqueeze": indexing.unsqueeze,
    "select.int": indexing.select, "unbind.int": indexing.unbind, "index_select": indexing.index_select,
    "cat": _joined, "stack": _stacked,
    "sum": reductions.total, "sum.dim_IntList": reductions.sum_over, "any": _any, "linalg_vector_norm": _norm,
    "full_like": _full_like, "new_full": _new_full, "zero_": _zero_, "copy_": _copy_, "clone": _clone,
}  # fmt: skip
