"""`finfo` and `iinfo`: the limits of an element type."""

from __future__ import annotations

from gradwire_protocol.dtypes import Category, DType, bool_

__all__ = ["finfo", "iinfo"]

# The decimal digits that survive a round trip, by bits of the mantissa; PyTorch's `resolution`.
_REAL = {"complex64": "float32", "complex128": "float64"}


class finfo:
    """The limits of a floating type; of a complex one those of its parts, and of the default one without `type`."""

    __slots__ = ("bits", "dtype", "eps", "max", "min", "resolution", "smallest_normal", "tiny")

    def __init__(self, type: DType | None = None) -> None:
        from gradwire.tensor import get_default_dtype

        type = get_default_dtype() if type is None else type
        if not isinstance(type, DType) or type.category < Category.FLOAT:
            raise TypeError(
                "torch.finfo() requires a floating point input type. Use torch.iinfo to handle 'torch.finfo'"
            )
        self.dtype = _REAL.get(type.name, type.name)
        self.bits, mantissa, lowest = _layout(type)
        self.eps = 2.0**-mantissa
        self.max = (2.0 - self.eps) * 2.0 ** (1 - lowest)
        self.min = -self.max
        self.smallest_normal = self.tiny = 2.0**lowest
        # As C's FLT_DIG: the digits that always survive.
        self.resolution = float(f"1e-{int(mantissa * 0.30103)}")

    def __repr__(self) -> str:
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        numbers = ", ".join(f"{name}={getattr(self, name):g}" for name in names)
        return f"finfo({numbers}, dtype={self.dtype})"


def _layout(dtype: DType) -> tuple[int, int, int]:
    """Return the bits, those of the mantissa, and the exponent of the smallest normal number."""
    layouts = {
        "float16": (16, 10, -14),
        "bfloat16": (16, 7, -126),
        "float32": (32, 23, -126),
        "float64": (64, 52, -1022),
    }
    return layouts[_REAL.get(dtype.name, dtype.name)]


class iinfo:
    """The limits of an integer type."""

    __slots__ = ("bits", "dtype", "max", "min")

    def __init__(self, type: DType) -> None:
        if not isinstance(type, DType) or type.category > Category.INT:
            raise TypeError("torch.iinfo() requires an integer input type. Use torch.finfo to handle 'torch.iinfo'")
        if type is bool_:
            raise TypeError("torch.bool is not supported by torch.iinfo")
        self.dtype, self.bits = type.name, type.itemsize * 8
        signed = int(type.is_signed)
        self.max = (1 << (self.bits - signed)) - 1
        self.min = -(1 << (self.bits - 1)) * signed

    def __repr__(self) -> str:
        return f"iinfo(min={float(self.min):g}, max={float(self.max):g}, dtype={self.dtype})"
