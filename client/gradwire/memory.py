"""What PyTorch lets a script ask of a tensor's memory: layout, memory format, pinning, sharing, addresses.

The memory is a worker's. What only makes transfers faster is answered as done; what would need an address is refused.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "MemoryMethods", "channels_last", "channels_last_3d", "check_memory_format", "contiguous_format", "jagged",
    "layout", "memory_format", "preserve_format", "sparse_bsc", "sparse_bsr", "sparse_coo", "sparse_csc", "sparse_csr",
    "strided",
]  # fmt: skip


class memory_format:
    """An order of axes in memory. Tensors made here are contiguous; the others are accepted as wishes and not followed."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"torch.{self._name}"

    def __reduce__(self) -> str:
        return self._name


class layout(memory_format):
    """How elements are stored; tensors here are `strided`, and the others are names to refuse, or to compare with."""

    __slots__ = ()


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
strided = layout("strided")
sparse_coo, sparse_csr, sparse_csc = layout("sparse_coo"), layout("sparse_csr"), layout("sparse_csc")
sparse_bsr, sparse_bsc, jagged = layout("sparse_bsr"), layout("sparse_bsc"), layout("jagged")

_CHANNELS_LAST_NDIM = {channels_last: 4, channels_last_3d: 5}


def check_memory_format(name: str, wanted: Any, ndim: int | None = None) -> None:
    """Raise what PyTorch raises for a memory format that is none, or that tensors of this rank, if given, cannot have."""
    if wanted is None:
        return
    if type(wanted) is not memory_format:
        raise TypeError(f"{name}(): argument 'memory_format' must be torch.memory_format, not {type(wanted).__name__}")
    needed = _CHANNELS_LAST_NDIM.get(wanted, ndim)
    if ndim is not None and ndim != needed:
        raise RuntimeError(f"required rank {needed} tensor to use {wanted._name} format")


def _channels_last_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides of a tensor whose second axis varies fastest."""
    strides, step = [0] * len(shape), 1
    for dim in (1, *range(len(shape) - 1, 1, -1), 0):
        strides[dim] = step
        step *= shape[dim]
    return tuple(strides)


class MemoryMethods:
    """Mixed into Tensor."""

    __slots__ = ()

    def is_contiguous(self: Any, memory_format: memory_format = contiguous_format) -> bool:
        """Return whether the elements lie in C order without gaps, or with the channels innermost."""
        check_memory_format("is_contiguous", memory_format, self.meta.ndim)
        if memory_format not in _CHANNELS_LAST_NDIM:
            return bool(self.meta.is_contiguous)
        return all(
            size == 1 or stride == wanted
            for size, stride, wanted in zip(
                self.meta.shape, self.meta.strides, _channels_last_strides(self.meta.shape), strict=True
            )
        )

    def contiguous(self: Any, memory_format: memory_format = contiguous_format) -> Any:
        """Return this tensor, or a copy in C order. A wish for channels_last is checked, and C order is what comes."""
        check_memory_format("contiguous", memory_format, self.meta.ndim)
        return super().contiguous()  # type: ignore[misc]

    def clone(self: Any, *, memory_format: memory_format = preserve_format) -> Any:
        """Return a copy in C order, through which gradients flow."""
        check_memory_format("clone", memory_format, self.meta.ndim)
        return super().clone()  # type: ignore[misc]

    @property
    def layout(self: Any) -> layout:
        """Return `gradwire.strided`."""
        return strided

    is_sparse = is_quantized = is_mkldnn = is_mps = is_xpu = is_meta = is_nested = is_sparse_csr = False
    is_xla = is_ipu = is_mtia = is_maia = False

    @property
    def is_cpu(self: Any) -> bool:
        """Return whether the worker computes on a CPU."""
        return not self.is_cuda

    def get_device(self: Any) -> int:
        """Return the number of the worker's device, or -1 for a CPU that is the only one."""
        index = self.device.index
        return -1 if index is None else int(index)

    def is_conj(self: Any) -> bool:
        """Return False: `conj` computes."""
        return False

    def is_neg(self: Any) -> bool:
        """Return False: `imag` of a conjugate computes."""
        return False

    def is_distributed(self: Any) -> bool:
        """Return False."""
        return False

    def is_nonzero(self: Any) -> bool:
        """Wait for whether the one element is not zero."""
        return bool(self)

    def is_set_to(self: Any, tensor: Any) -> bool:
        """Return whether both are the same window of the same memory."""
        same = self.storage.memory is tensor.storage.memory and self.offset == tensor.offset
        return bool(same and self.meta == tensor.meta)

    def __reversed__(self: Any) -> Any:
        return self if self.meta.ndim == 0 else self.flip(0)

    def __setstate__(self: Any, state: Any) -> None:
        raise TypeError("tensors live on a worker and are not pickled; use gradwire.save and gradwire.load")

    def pin_memory(self: Any, device: Any = None) -> Any:
        """Return this tensor: its memory is the worker's, and needs no pinning to get there."""
        return self

    def is_pinned(self: Any, device: Any = None) -> bool:
        """Return False."""
        return False

    def share_memory_(self: Any) -> Any:
        """Return this tensor. Only on a GPU worker, where it is a no-op in PyTorch too: nothing is shared here."""
        if self.is_cuda:
            return self
        raise RuntimeError(
            "share_memory_ needs memory that processes can share, and a tensor's is its session's; send numpy arrays between "
            "processes instead"
        )

    def is_shared(self: Any) -> bool:
        """Return what PyTorch says: True on a GPU, else whether other processes see the memory, which none does."""
        return bool(self.is_cuda)

    def data_ptr(self: Any) -> int:
        """Raise RuntimeError: the address is another process's."""
        raise RuntimeError("data_ptr needs memory in this process; a tensor's is on its worker; use numpy() for a copy")

    def untyped_storage(self: Any) -> Any:
        """Raise RuntimeError: the memory is another process's."""
        raise RuntimeError(
            "a storage needs memory in this process; a tensor's is on its worker; use numpy() for a copy, and "
            "x.storage_offset() and x.stride() for the layout"
        )

    def _not_elementwise(self: Any, *args: Any) -> Any:
        raise RuntimeError(
            "apply_ and map_ run a Python function per element, which a worker never does; use tensor ops, or "
            "gradwire.tensor(function(x.numpy()))"
        )

    apply_ = map_ = map2_ = _not_elementwise
