"""The safetensors format: named arrays and a text map, nothing that could run. Reading and writing files is others' business.

The format (https://github.com/huggingface/safetensors): eight bytes with the length of the header, little-endian; the header, JSON
of `name -> {dtype, shape, data_offsets}` and `__metadata__`, padded with spaces; then the values, little-endian and row-major,
covering the rest without gap or overlap. Nothing here may unpickle or evaluate.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from reprlib import Repr
from typing import Any, Final, Protocol, TypeAlias

import numpy as np

from gradwire_protocol.dtypes import bfloat16
from gradwire_protocol.limits import MAX_NDIM, MAX_NUMEL

__all__ = ["File", "Invalid", "encode_head", "little_endian", "read", "read_metadata"]

Array: TypeAlias = np.ndarray[Any, Any]


class File(Protocol):
    """What is read: a file that is open for reading bytes."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, fewer at the end."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill memory with the next bytes; return how many they are, fewer than there is room for only at the end."""


# The format's own bound, so that a hostile header cannot fill the memory.
_MAX_HEADER_BYTES: Final = 100_000_000
_LENGTH_BYTES: Final = 8
_METADATA: Final = "__metadata__"

# The names of the format that numpy has a type for, by numpy's kind and width.
_NAMES: Final = {
    "b1": "BOOL", "u1": "U8", "u2": "U16", "u4": "U32", "u8": "U64", "i1": "I8", "i2": "I16",
    "i4": "I32", "i8": "I64", "f2": "F16", "f4": "F32", "f8": "F64", "c8": "C64",
}  # fmt: skip
_DTYPES: Final = {name: np.dtype("<" + code) for code, name in _NAMES.items()} | {"BF16": bfloat16.numpy}

# Shows a file's content in a message: bounded however long or deep a hostile one is.
_short_repr = Repr()
_short_repr.maxstring = 100
_short: Final = _short_repr.repr


# ---------------------------------------------------------------- writing
def encode_head(arrays: Mapping[str, Array], metadata: Mapping[str, str] | None) -> tuple[list[str], bytes]:
    """Return the order in which values lie in the file, and everything that precedes them."""
    header: dict[str, Any] = {}
    if metadata:
        header[_METADATA] = _checked_metadata(metadata, TypeError)
    for name, array in arrays.items():
        header[name] = {"dtype": _dtype_name(name, array), "shape": list(array.shape)}
    # Widest first keeps every array aligned to its own width, for readers that map the file.
    order = sorted(arrays, key=lambda name: -arrays[name].itemsize)
    end = 0
    for name in order:
        begin, end = end, end + arrays[name].nbytes
        header[name]["data_offsets"] = [begin, end]
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > _MAX_HEADER_BYTES:
        raise ValueError(
            f"safetensors needs a header of at most {_MAX_HEADER_BYTES:,} bytes; {len(arrays):,} "
            f"names and the metadata take {len(text):,}; split the file"
        )
    return order, len(text).to_bytes(_LENGTH_BYTES, "little") + text


def _dtype_name(name: object, array: object) -> str:
    if not isinstance(name, str) or name == _METADATA:
        raise TypeError(f"safetensors needs strings other than {_METADATA!r} as names; got {name!r}")
    if not isinstance(array, np.ndarray):
        raise TypeError(f"safetensors needs numpy arrays; {name!r} is a {type(array).__name__}")
    if array.dtype == bfloat16.numpy:
        return "BF16"
    code = array.dtype.str[1:]
    if code not in _NAMES:
        advice = "; save it as float64 with a last dimension of 2" if code == "c16" else ""
        raise TypeError(f"safetensors has no dtype {array.dtype}, which {name!r} has{advice}")
    return _NAMES[code]


def _checked_metadata(metadata: Any, error: type[Exception]) -> dict[str, str]:
    if not isinstance(metadata, Mapping) or not all(
        isinstance(part, str) for item in metadata.items() for part in item
    ):
        raise error(f"safetensors needs metadata as a map of str to str; got {_short(metadata)}")
    return dict(metadata)


def little_endian(array: Array) -> Array:
    """Return the values packed in row-major order; a copy only where they are not so already."""
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


# ---------------------------------------------------------------- reading
class Invalid(Exception):
    """What is wrong with a file, as one clause of a sentence."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One array as a valid header describes it; offsets count from the end of the header."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


def read(file: File, file_bytes: int) -> tuple[dict[str, Array], dict[str, str]]:
    """Return a file's arrays, in the header's order, and its metadata; raise Invalid for one that is not whole and valid."""
    header, data_bytes = _read_header(file, file_bytes)
    metadata = _checked_metadata(header.pop(_METADATA, {}), Invalid)
    entries = [_entry(name, fields) for name, fields in header.items()]
    in_file_order = sorted(entries, key=lambda entry: (entry.begin, entry.end))
    _check_cover(in_file_order, data_bytes)
    arrays = {entry.name: _read_array(file, entry) for entry in in_file_order}
    return {entry.name: arrays[entry.name] for entry in entries}, metadata


def read_metadata(file: File, file_bytes: int) -> dict[str, str]:
    """Return a file's metadata; raise Invalid for one that has no valid header."""
    return _checked_metadata(_read_header(file, file_bytes)[0].pop(_METADATA, {}), Invalid)


def _read_header(file: File, file_bytes: int) -> tuple[dict[str, Any], int]:
    """Return the parsed header and how many bytes follow it."""
    prefix = file.read(_LENGTH_BYTES)
    if len(prefix) < _LENGTH_BYTES:
        raise Invalid(f"it has {len(prefix)} bytes, fewer than the {_LENGTH_BYTES} of its length")
    length = int.from_bytes(prefix, "little")
    data_bytes = file_bytes - _LENGTH_BYTES - length
    if length > _MAX_HEADER_BYTES or data_bytes < 0:
        bound = min(_MAX_HEADER_BYTES, file_bytes - _LENGTH_BYTES)
        raise Invalid(f"its header claims {length:,} bytes where {bound:,} are possible")
    raw = file.read(length)
    if len(raw) != length:
        raise Invalid(f"its header ended after {len(raw):,} of {length:,} bytes")
    return _parse(raw), data_bytes


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        if raw[:1] != b"{":
            raise ValueError(f"it begins with {raw[:1]!r}")
        header: dict[str, Any] = json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant)
        for name in header:
            name.encode()  # JSON can spell half a surrogate pair, which no text can hold
    # json descends once per bracket: a header of brackets alone exhausts the stack, not the memory
    except (ValueError, RecursionError) as error:
        raise Invalid(f"its header is not valid JSON text ({error!s:.200})") from None
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError(f"the name {_short(name)} comes twice")
        members[name] = value
    return members


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= sys.maxsize


def _entry(name: str, fields: Any) -> _Entry:
    """Check one array's description by itself: its form, its dtype, its shape against its size."""
    if not isinstance(fields, dict) or fields.keys() != {"dtype", "shape", "data_offsets"}:
        raise Invalid(f"{_short(name)} needs dtype, shape and data_offsets; got {_short(fields)}")
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise Invalid(f"{_short(name)} has the dtype {_short(dtype)}, of which numpy has none")
    if not isinstance(shape, list) or len(shape) > MAX_NDIM or not all(map(_is_count, shape)):
        raise Invalid(f"{_short(name)} needs at most {MAX_NDIM} counts as shape; got {_short(shape)}")
    # Zeros left out: numpy wants the other sizes of an empty array in range as well.
    if math.prod(size for size in shape if size) > MAX_NUMEL:
        raise Invalid(f"{_short(name)} has the shape {_short(shape)}, of more than 2**56 elements")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_count, offsets)):
        raise Invalid(f"{_short(name)} needs two counts as data_offsets; got {_short(offsets)}")
    begin, end = offsets
    size_bytes = math.prod(shape) * _DTYPES[dtype].itemsize
    if end - begin != size_bytes:
        raise Invalid(
            f"{_short(name)} of {dtype} {_short(shape)} takes {size_bytes:,} bytes; "
            f"its data_offsets {offsets} span {end - begin:,}"
        )
    return _Entry(name, _DTYPES[dtype], tuple(shape), begin, end)


def _check_cover(in_file_order: list[_Entry], data_bytes: int) -> None:
    """Check that the arrays lie one behind the other and end where the file does."""
    position = 0
    for entry in in_file_order:
        if entry.begin != position:
            what = "a hole" if entry.begin > position else "an overlap"
            raise Invalid(f"there is {what} before {_short(entry.name)} at {entry.begin:,}")
        position = entry.end
    if position != data_bytes:
        raise Invalid(f"its arrays take {position:,} bytes; behind the header are {data_bytes:,}")


def _read_array(file: File, entry: _Entry) -> Array:
    flat = np.empty(entry.end - entry.begin, np.uint8)
    # numpy.empty holds freed memory: a short read must never pass for values.
    if file.readinto(flat.data) != flat.size:
        raise Invalid(f"it ended within {_short(entry.name)}")
    if entry.dtype.kind == "b" and flat.size and flat.max() > 1:
        raise Invalid(f"{_short(entry.name)} is BOOL and holds {flat.max()}, which is neither 0 nor 1")
    array = flat.view(entry.dtype).reshape(entry.shape)
    return array.astype(entry.dtype.newbyteorder("="), copy=False)
