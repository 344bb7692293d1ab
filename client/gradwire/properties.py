"""What a Tensor tells about itself without asking the worker: sizes, strides, dtype, device."""

from __future__ import annotations

from typing import Any, overload

from gradwire.device import Device
from gradwire.memory import check_memory_format
from gradwire.transfer import moved
from gradwire.workers import session_of
from gradwire_protocol.dtypes import DType
from gradwire_protocol.infer import normalize_dim
from gradwire_protocol.ops import OPS
from gradwire_protocol.registry import torch_type_name

__all__ = ["PropertyMethods", "Size"]


class Size(tuple[int, ...]):
    """The sizes of a tensor; prints as `torch.Size` does, and stays one when it is cut, joined or repeated."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        found = tuple.__getitem__(self, index)
        return Size(found) if type(index) is slice else found

    def __add__(self, other: Any) -> Any:
        return _joined(self, other)

    def __radd__(self, other: Any) -> Any:
        return _joined(other, self)

    def __mul__(self, count: Any) -> Any:
        return Size(tuple.__mul__(self, count))

    __rmul__ = __mul__

    def numel(self) -> int:
        """Return the product of the sizes."""
        product = 1
        for size in self:
            product *= size
        return product

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"


def _joined(left: Any, right: Any) -> Size:
    for part in (left, right):
        if not isinstance(part, tuple):
            raise TypeError(f"can only concatenate tuple (not {type(part).__name__}) to torch.Size")
    return Size((*left, *right))


class PropertyMethods:
    """Mixed into Tensor."""

    __slots__ = ()

    @property
    def shape(self: Any) -> Size:
        """Return the sizes."""
        return Size(self.meta.shape)

    @overload
    def size(self, dim: None = None) -> Size: ...
    @overload
    def size(self, dim: int) -> int: ...
    def size(self: Any, dim: int | None = None) -> Size | int:
        """Return the sizes, or the size of one axis."""
        if dim is None:
            return Size(self.meta.shape)
        if self.meta.ndim == 0:
            raise IndexError("Dimension specified as 0 but tensor has no dimensions")
        return self.meta.shape[normalize_dim(dim, self.meta.ndim)]  # type: ignore[no-any-return]

    @overload
    def stride(self, dim: None = None) -> tuple[int, ...]: ...
    @overload
    def stride(self, dim: int) -> int: ...
    def stride(self: Any, dim: int | None = None) -> tuple[int, ...] | int:
        """Return the strides in elements, or that of one axis."""
        strides: tuple[int, ...] = self.meta.strides
        return strides if dim is None else strides[normalize_dim(dim, self.meta.ndim)]

    def storage_offset(self: Any) -> int:
        """Return where the first element stands in the storage, in elements."""
        return int(self.offset)

    def dim(self: Any) -> int:
        """Return the number of axes."""
        return int(self.meta.ndim)

    ndimension = dim

    @property
    def ndim(self: Any) -> int:
        """Return the number of axes."""
        return int(self.meta.ndim)

    def numel(self: Any) -> int:
        """Return the number of elements."""
        return int(self.meta.numel)

    nelement = numel

    def element_size(self: Any) -> int:
        """Return the bytes of one element."""
        return int(self.meta.dtype.itemsize)

    @property
    def itemsize(self: Any) -> int:
        """Return the bytes of one element."""
        return int(self.meta.dtype.itemsize)

    @property
    def nbytes(self: Any) -> int:
        """Return the bytes of the elements."""
        return int(self.meta.nbytes)

    @property
    def dtype(self: Any) -> DType:
        """Return the element type."""
        return self.meta.dtype  # type: ignore[no-any-return]

    @property
    def device(self: Any) -> Device:
        """Return the device that the worker computes on."""
        return Device(self.session.device)

    @property
    def is_cuda(self: Any) -> bool:
        """Return whether the worker computes on an NVIDIA GPU."""
        return self.session.device.startswith("cuda")  # type: ignore[no-any-return]

    def is_floating_point(self: Any) -> bool:
        """Return whether the dtype is a real floating one."""
        return bool(self.meta.dtype.is_floating_point)

    def is_complex(self: Any) -> bool:
        """Return whether the dtype is complex."""
        return bool(self.meta.dtype.is_complex)

    def is_signed(self: Any) -> bool:
        """Return whether the dtype holds negative values."""
        return bool(self.meta.dtype.is_signed)

    def is_same_size(self: Any, other: Any) -> bool:
        """Return whether both have the same sizes."""
        return bool(self.meta.shape == other.meta.shape)

    @property
    def T(self: Any) -> Any:
        """Return the view with all axes reversed."""
        return self.permute(*range(self.meta.ndim - 1, -1, -1))

    @property
    def mT(self: Any) -> Any:
        """Return the view with the last two axes swapped."""
        if self.meta.ndim < 2:
            raise RuntimeError(
                f"tensor.mT is only supported on matrices or batches of matrices. Got {self.meta.ndim}-D tensor."
            )
        return self.transpose(-2, -1)

    @property
    def mH(self: Any) -> Any:
        """Return the conjugate of the view with the last two axes swapped."""
        if self.meta.ndim < 2:
            raise RuntimeError(
                f"tensor.mH is only supported on matrices or batches of matrices. Got {self.meta.ndim}-D tensor."
            )
        return self.transpose(-2, -1).conj()

    @property
    def H(self: Any) -> Any:
        """Return the conjugate transpose of a matrix."""
        if self.meta.ndim not in (0, 2):
            raise RuntimeError(
                f"tensor.H is only supported on matrices (2-D tensors). Got {self.meta.ndim}-D tensor. For batches of "
                "matrices, consider using tensor.mH"
            )
        return self if self.meta.ndim == 0 else self.transpose(0, 1).conj()

    @property
    def real(self: Any) -> Any:
        """Return this tensor; a copy of the real parts if it is complex (PyTorch's is a view)."""
        return OPS["real"](self) if self.meta.dtype.is_complex else self

    @property
    def imag(self: Any) -> Any:
        """Return a copy of the imaginary parts; raise RuntimeError for a real tensor."""
        return OPS["imag"](self)

    def resolve_conj(self: Any) -> Any:
        """Return this tensor: conjugates are computed at once here, so none is pending."""
        return self

    def resolve_neg(self: Any) -> Any:
        """Return this tensor: negations are computed at once here, so none is pending."""
        return self

    def is_conj(self: Any) -> bool:
        """Return False: no conjugate is pending."""
        return False

    def is_neg(self: Any) -> bool:
        """Return False: no negation is pending."""
        return False

    def __len__(self: Any) -> int:
        if self.meta.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return int(self.meta.shape[0])

    def __iter__(self: Any) -> Any:
        if self.meta.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def to(
        self: Any,
        *args: Any,
        dtype: DType | None = None,
        device: Any = None,
        non_blocking: bool = False,
        copy: bool = False,
        memory_format: Any = None,
    ) -> Any:
        """Return this tensor in another dtype, or itself. Forms: `to(dtype)`, `to(device)`, `to(device, dtype)`, `to(other)`.

        To another worker's device it copies, from worker to worker, and gradients come back the same way; nothing waits, so
        `non_blocking` says what is so anyway.
        """
        rest: list[bool] = []
        session: Any = self.session
        for value in args:
            if isinstance(value, DType):
                dtype = value
            elif isinstance(value, bool):
                rest.append(value)
            elif isinstance(value, str | Device | int):
                device = Device("cuda", value) if isinstance(value, int) else value
            elif isinstance(value, PropertyMethods):
                dtype, session = value.dtype, value.session  # type: ignore[attr-defined]
            elif value is not None:
                raise TypeError(f"to() received an invalid argument: {value!r}; it takes a dtype, a device or a tensor")
        copy = rest[1] if len(rest) > 1 else copy  # after non_blocking
        session = session if device is None else session_of(device, self.session)
        check_memory_format("to", memory_format, self.meta.ndim)
        if session is not self.session:
            return moved(self if dtype is None or dtype is self.meta.dtype else self._to_dtype(dtype), session)
        if dtype is None or dtype is self.meta.dtype:
            return self.clone() if copy else self
        return self._to_dtype(dtype)

    def cuda(self: Any, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Any:
        """Return itself on a GPU worker; raise what PyTorch raises without a GPU."""
        return self.to("cuda" if device is None else device, memory_format=memory_format)

    def cpu(self: Any, memory_format: Any = None) -> Any:
        """Return itself on a CPU worker, else a copy on one; raise RuntimeError where the script is connected to none."""
        return self.to(None if self.is_cpu else "cpu", memory_format=memory_format)

    def copy_(self: Any, src: Any, non_blocking: bool = False) -> Any:
        """Write another tensor's elements, of any worker, over this one's."""
        if getattr(src, "session", self.session) is not self.session:
            src = moved(src, self.session)
        return super().copy_(src)  # type: ignore[misc]

    def type(self: Any, dtype: Any = None, non_blocking: bool = False) -> Any:
        """Return the PyTorch type name, or this tensor in another dtype, which `torch.FloatTensor` or its name may give."""
        from gradwire.tensor_types import tensor_type

        if dtype is None:
            return f"torch.{'cuda.' if self.is_cuda else ''}{torch_type_name(self.meta.dtype)}Tensor"
        if isinstance(dtype, DType):
            return self.to(dtype)
        wanted = tensor_type(dtype)
        wanted.check_device()
        return self.to(wanted.dtype)
