"""`torch.sparse.FloatTensor` and its kin: the names that sparse tensors had before dtypes, which scripts still use."""

from __future__ import annotations

from typing import Any

from gradwire.sparse.construction import sparse_coo_tensor
from gradwire.sparse.tensor import SparseTensor
from gradwire.tensor_types import TENSOR_TYPES, TensorType

__all__ = [
    "BFloat16Tensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor", "HalfTensor", "IntTensor", "LongTensor",
    "ShortTensor",
]  # fmt: skip


class SparseType(TensorType):
    """The class of `torch.sparse.FloatTensor`: calling it makes a sparse tensor, `isinstance` looks at the dtype."""

    def __call__(cls, *data: Any) -> Any:
        """Return a sparse tensor of places, values and sizes, which may be left out; or one of zeros, of sizes."""
        if not data or all(isinstance(size, int) for size in data):
            return sparse_coo_tensor(data or (0,), dtype=cls.dtype)
        if len(data) == 1:
            return sparse_coo_tensor(tuple(data[0]), dtype=cls.dtype)
        return sparse_coo_tensor(*data)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, SparseTensor) and instance.dtype is cls.dtype


def _made(dense: TensorType) -> SparseType:
    members = {
        "dtype": dense.dtype,
        "is_cuda": False,
        "__module__": "torch.sparse",
        "__doc__": f"Sparse {dense.__name__}.",
    }
    return SparseType(dense.__name__, (), members)


(
    BFloat16Tensor, ByteTensor, CharTensor, DoubleTensor, FloatTensor, HalfTensor, IntTensor, LongTensor, ShortTensor,
) = (_made(TENSOR_TYPES[f"torch.{name}"]) for name in __all__)  # fmt: skip
