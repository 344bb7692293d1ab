"""`x.new_zeros(...)` and its kin: new tensors in the dtype of one that is there, on its worker."""

from __future__ import annotations

from typing import Any

from gradwire_protocol.dtypes import DType

__all__ = ["NewMethods"]


class NewMethods:
    """Mixed into Tensor. The contract's methods make the values; these take PyTorch's other keywords."""

    __slots__ = ()

    def new_tensor(
        self: Any, data: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
    ) -> Any:
        """Return a new leaf with a copy of `data`, in this dtype unless another is given."""
        from gradwire import creation

        return creation.tensor(
            data, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad
        )

    def new_full(
        self: Any,
        size: Any,
        fill_value: Any,
        *,
        dtype: DType | None = None,
        device: Any = None,
        requires_grad: bool = False,
    ) -> Any:
        """Return one repeated number in the given sizes, in this dtype unless another is given."""
        made = super().new_full(size, fill_value, dtype=dtype)  # type: ignore[misc]
        made = made if device is None else made.to(device)
        return made.requires_grad_(True) if requires_grad else made

    def _new_filled(self: Any, size: tuple[Any, ...], value: int, options: dict[str, Any]) -> Any:
        return self.new_full(
            tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size, value, **options
        )

    def new_zeros(
        self: Any, *size: Any, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
    ) -> Any:
        """Return zeros in the given sizes."""
        return self._new_filled(size, 0, {"dtype": dtype, "device": device, "requires_grad": requires_grad})

    def new_ones(
        self: Any, *size: Any, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
    ) -> Any:
        """Return ones in the given sizes."""
        return self._new_filled(size, 1, {"dtype": dtype, "device": device, "requires_grad": requires_grad})

    def new_empty(
        self: Any, *size: Any, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
    ) -> Any:
        """Return zeros in the given sizes: memory that showed what it held before could be another session's."""
        return self._new_filled(size, 0, {"dtype": dtype, "device": device, "requires_grad": requires_grad})

    def new(self: Any, *data: Any) -> Any:
        """Return what the legacy constructor of this dtype returns: `x.new(2, 3)`, `x.new([1, 2])`."""
        from gradwire.tensor_types import tensor_type

        return tensor_type(self.type())(*data)
