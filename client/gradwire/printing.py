"""Turn an array of values into the text that PyTorch prints for such a tensor.

Owns the print options and the layout of numbers, brackets, line breaks and suffixes. It never
fetches anything: the caller hands over values, or only those that a summary shows
(`summary_indices` says which), so that printing a large tensor does not move it.

Behaviour follows the documentation of `torch.set_printoptions` and what PyTorch 2.13 was seen to
print; tests/client/test_printing.py holds the recorded outputs and the comparison.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

import numpy as np

from gradwire_protocol.dtypes import bfloat16

__all__ = [
    "PrintOptions",
    "format_body",
    "format_tensor",
    "get_printoptions",
    "printoptions",
    "set_printoptions",
    "summary_indices",
]

Profile = Literal["default", "short", "full"]
Array = np.ndarray[Any, Any]

_PREFIX: Final = "tensor("
_FLOAT32: Final = np.dtype(np.float32)

# Where PyTorch leaves plain notation: the spread of magnitudes, and the largest and smallest one.
_PLAIN_RATIO: Final = 1000.0
_PLAIN_MAX: Final = 1e8
_PLAIN_MIN: Final = 1e-4


# ---------------------------------------------------------------- options
@dataclass(frozen=True, slots=True)
class PrintOptions:
    """How tensors print; the defaults are PyTorch's."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None

    def __post_init__(self) -> None:
        for name in ("precision", "edgeitems", "linewidth"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"printing needs {name} as an int; got {value!r}")
        for name in ("precision", "edgeitems"):
            if getattr(self, name) < 0:
                raise ValueError(f"printing needs {name} >= 0; got {getattr(self, name)}")
        if isinstance(self.threshold, bool) or not isinstance(self.threshold, int | float):
            raise TypeError(f"printing needs threshold as a number; got {self.threshold!r}")
        if self.sci_mode not in (True, False, None):
            raise TypeError(f"printing needs sci_mode True, False or None; got {self.sci_mode!r}")


_PROFILES: Final[dict[str, PrintOptions]] = {
    "default": PrintOptions(),
    "short": PrintOptions(precision=2, edgeitems=2),
    "full": PrintOptions(threshold=math.inf),
}

_options = PrintOptions()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: Profile | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors print, for the whole process.

    precision: digits after the point. threshold: number of elements above which only edges print.
    edgeitems: how many items of each edge. linewidth: characters per line. profile: "default",
    "short" or "full" to start from. sci_mode: scientific notation always (True), never (False) or
    where the values ask for it (None); as in PyTorch every call sets it, so leaving it out gives
    None. Raises ValueError for an unknown profile or a negative count.
    """
    global _options
    if profile is not None and profile not in _PROFILES:
        raise ValueError(f"set_printoptions needs a profile of {[*_PROFILES]}; got {profile!r}")
    given: dict[str, Any] = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    base = _options if profile is None else _PROFILES[profile]
    _options = replace(base, sci_mode=sci_mode, **changes)


def get_printoptions() -> dict[str, Any]:
    """Return the current options by name."""
    return asdict(_options)


@contextmanager
def printoptions(**changes: Any) -> Iterator[None]:
    """Apply `set_printoptions(**changes)` within a `with` block."""
    global _options
    before = _options
    set_printoptions(**changes)
    try:
        yield
    finally:
        _options = before


# ---------------------------------------------------------------- numbers
@dataclass(frozen=True, slots=True)
class _RealStyle:
    """One notation for all numbers of a tensor, and the width that lines them up."""

    spec: str = ".0f"
    tail: str = "."
    # 1 where nothing but zeros, nan and inf was seen: PyTorch lines those up on nothing.
    width: int = 1

    def text(self, value: float) -> str:
        return format(value, self.spec) + (self.tail if math.isfinite(value) else "")

    def padded(self, value: float) -> str:
        return self.text(value).rjust(self.width)


@dataclass(frozen=True, slots=True)
class _ComplexStyle:
    """Real and imaginary part, each in the notation of its own column; only the real is padded."""

    real: _RealStyle
    imaginary: _RealStyle

    @property
    def width(self) -> int:
        return self.real.width + self.imaginary.width + 1

    def padded(self, value: complex) -> str:
        imaginary = self.imaginary.text(value.imag).lstrip()
        sign = "" if imaginary.startswith("-") else "+"
        return f"{self.real.padded(value.real)}{sign}{imaginary}j"


@dataclass(frozen=True, slots=True)
class _PlainStyle:
    """Integers and booleans: Python's own text, right-aligned."""

    width: int

    def padded(self, value: int) -> str:
        return str(value).rjust(self.width)


_Style = _RealStyle | _ComplexStyle | _PlainStyle


def _is_scientific(magnitudes: Array, whole: bool) -> bool:
    """Say whether finite non-zero magnitudes need an exponent, as PyTorch decides it."""
    largest, smallest = float(magnitudes.max()), float(magnitudes.min())
    with np.errstate(over="ignore"):  # 1e300 / 1e-300 is inf, and inf > 1000 is the right answer
        spread = float(np.float64(largest) / np.float64(smallest)) > _PLAIN_RATIO
    return spread or largest > _PLAIN_MAX or (not whole and smallest < _PLAIN_MIN)


def _real_style(values: Array, options: PrintOptions) -> _RealStyle:
    # float64 throughout: the limits are compared in double whatever the tensor's dtype.
    wide = values.astype(np.float64).reshape(-1)
    shown = wide[np.isfinite(wide) & (wide != 0)]
    if shown.size == 0:
        return _RealStyle()
    whole = bool((shown == np.ceil(shown)).all())
    scientific = options.sci_mode
    if scientific is None:
        scientific = _is_scientific(np.abs(shown), whole)
    if scientific:
        spec, tail = f".{options.precision}e", ""
    elif whole:
        spec, tail = ".0f", "."
    else:
        spec, tail = f".{options.precision}f", ""
    width = max(len(format(value, spec)) for value in shown.tolist()) + len(tail)
    return _RealStyle(spec, tail, width)


def _style(values: Array, options: PrintOptions) -> _Style:
    """Choose the notation from the values that will be shown (never from hidden ones)."""
    if values.dtype.kind == "c":
        return _ComplexStyle(_real_style(values.real, options), _real_style(values.imag, options))
    if values.dtype.kind == "f" or values.dtype == bfloat16.numpy:
        return _real_style(values, options)
    return _PlainStyle(max((len(str(v)) for v in values.reshape(-1).tolist()), default=1))


# ---------------------------------------------------------------- which values are shown
def _is_summarized(shape: Sequence[int], options: PrintOptions) -> bool:
    return math.prod(shape) > options.threshold


def summary_indices(shape: Sequence[int]) -> tuple[list[int] | None, ...] | None:
    """Say which positions of each dimension print under the current options.

    None: all of the tensor prints. Otherwise one entry per dimension: the positions to take, or
    None for all of them. `format_tensor` takes the values picked so together with `shape`.
    """
    if not _is_summarized(shape, _options):
        return None
    edge = _options.edgeitems
    return tuple([*range(edge), *range(size - edge, size)] if size > 2 * edge else None for size in shape)


def _shown_values(values: Array, shape: Sequence[int]) -> Array:
    """Cut full values down to what prints; values cut by the caller pass as they are."""
    indices = summary_indices(shape)
    if indices is None:
        shown = tuple(shape)
    else:
        shown = tuple(size if index is None else len(index) for size, index in zip(shape, indices, strict=True))
    if values.shape == tuple(shape) and indices is not None:
        for dim, index in enumerate(indices):
            if index is not None:
                values = values.take(index, axis=dim)
    if values.shape != shown:
        raise ValueError(
            f"format_tensor needs values of shape {tuple(shape)} or, summarized, {shown}; got {values.shape}"
        )
    return values


# ---------------------------------------------------------------- brackets and lines
@dataclass(frozen=True, slots=True)
class _Layout:
    """Lay out shown values, one bracket pair per dimension, under one style."""

    style: _Style
    options: PrintOptions
    cut: tuple[bool, ...]
    """For each dimension: whether its middle is left out."""

    def text(self, values: Any, dim: int, indent: int) -> str:
        """Lay out nested lists from dimension `dim` on, at column `indent`."""
        if dim == len(self.cut):
            return self.style.padded(values)
        if dim == len(self.cut) - 1:
            return self._row([self.style.padded(value) for value in values], indent)
        items = [self.text(item, dim + 1, indent + 1) for item in values]
        if self.cut[dim]:
            items.insert(self.options.edgeitems, "...")
        blank_lines = "\n" * (len(self.cut) - dim - 1)
        return "[" + ("," + blank_lines + " " * (indent + 1)).join(items) + "]"

    def _row(self, cells: list[str], indent: int) -> str:
        if self.cut[-1]:
            # PyTorch sets the dots two spaces off; they take one cell of the line.
            cells.insert(self.options.edgeitems, " ...")
        cell_width = self.style.width + len(", ")
        per_line = max(1, (self.options.linewidth - indent) // cell_width)
        lines = [", ".join(cells[i : i + per_line]) for i in range(0, len(cells), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _body(values: Array, shape: tuple[int, ...], options: PrintOptions, indent: int = len(_PREFIX)) -> str:
    if 0 in shape:
        return "[]"
    summarized = _is_summarized(shape, options)
    if summarized and options.edgeitems == 0 and shape:
        return "[...]"
    cut = tuple(summarized and size > 2 * options.edgeitems for size in shape)
    layout = _Layout(_style(values, options), options, cut)
    return layout.text(values.tolist(), 0, indent)


def format_body(values: Array, shape: tuple[int, ...], indent: int) -> str:
    """Write the brackets and numbers alone, for column `indent`; `values` may be what `summary_indices` names."""
    return _body(_shown_values(values, shape), shape, _options, indent)


# ---------------------------------------------------------------- suffixes
def _is_default_dtype(dtype: np.dtype[Any], empty: bool, default_dtype: np.dtype[Any]) -> bool:
    """Say whether a reader infers the dtype from the digits, so that PyTorch leaves it out."""
    if dtype == default_dtype:
        return True
    if empty:  # no digits to infer from
        return False
    default_complex = np.result_type(default_dtype, np.complex64)
    return dtype in (np.dtype(np.int64), np.dtype(np.bool_), default_complex)


def _with_suffixes(body: str, suffixes: Sequence[str], linewidth: int) -> str:
    """Append suffixes, each on the last line if it fits and on a new one if not."""
    text = _PREFIX + body
    # PyTorch keeps two columns for the closing bracket and the comma after it.
    column = len(text) - text.rfind("\n") - 1 + 2
    for suffix in suffixes:
        if column + len(suffix) + len(", ") > linewidth:
            text += ",\n" + " " * len(_PREFIX) + suffix
            column = len(_PREFIX) + len(suffix)
        else:
            text += ", " + suffix
            column += len(suffix) + len(", ")
    return text + ")"


def format_tensor(
    values: Array,
    *,
    dtype_suffix: str | None,
    device: str | None,
    grad_fn: str | None,
    requires_grad: bool,
    shape: Sequence[int] | None = None,
    parameter: bool = False,
    default_dtype: np.dtype[Any] = _FLOAT32,
) -> str:
    """Write `values` as PyTorch prints a tensor.

    values: any shape; where `shape` is given and prints in summary, only the part that
        `summary_indices(shape)` names will do.
    dtype_suffix: how the dtype is written, say "gradwire.float64"; left out, as in PyTorch, where
        the digits show it (`default_dtype` and its complex, int64, bool). None never shows it.
    device: shown whenever given; the caller passes None for the CPU.
    grad_fn: the node's name, say "MulBackward0"; where it is None, `requires_grad` shows itself.
    parameter: put "Parameter containing:" in front.

    Raises ValueError when `values` fits neither `shape` nor its summary.
    """
    true_shape = values.shape if shape is None else tuple(shape)
    options = _options
    empty = 0 in true_shape
    body = _body(_shown_values(values, true_shape), true_shape, options)

    suffixes: list[str] = []
    if device is not None:
        suffixes.append(f"device='{device}'")
    # With edgeitems=0 PyTorch shows the size even of what it then prints in full.
    if (empty and len(true_shape) != 1) or (not empty and options.edgeitems == 0):
        suffixes.append(f"size={true_shape}")
    if dtype_suffix is not None and not _is_default_dtype(values.dtype, empty, default_dtype):
        suffixes.append(f"dtype={dtype_suffix}")
    if grad_fn is not None:
        suffixes.append(f"grad_fn=<{grad_fn}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")

    heading = "Parameter containing:\n" if parameter else ""
    return heading + _with_suffixes(body, suffixes, options.linewidth)
