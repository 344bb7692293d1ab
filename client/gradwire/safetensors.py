"""Read and write safetensors files: named arrays and a text map, nothing that could run.

Owns the file format and the replacement of a file as a whole. It knows numpy arrays only; the
tensors of a state_dict are fetched and made elsewhere. Nothing here may unpickle or evaluate.

The format (https://github.com/huggingface/safetensors): eight bytes with the length of the header,
little-endian; the header, JSON of `name -> {dtype, shape, data_offsets}` and `__metadata__`, padded
with spaces; then the values, little-endian and row-major, covering the rest without gap or overlap.
"""

import errno
import json
import math
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from reprlib import Repr
from typing import Any, Final, TypeAlias

import numpy as np

from gradwire_protocol.dtypes import bfloat16
from gradwire_protocol.errors import CheckpointError
from gradwire_protocol.limits import MAX_NDIM, MAX_NUMEL

__all__ = ["CheckpointError", "read_safetensors", "replacing", "write_safetensors"]

Array: TypeAlias = np.ndarray[Any, Any]
Path: TypeAlias = "str | os.PathLike[str]"

# The format's own bound, so that a hostile header cannot fill the memory.
_MAX_HEADER_BYTES: Final = 100_000_000
_LENGTH_BYTES: Final = 8
_METADATA: Final = "__metadata__"
# One system call's worth; an interrupt is served between two of them.
_WRITE_BYTES: Final = 64 * 1024 * 1024

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
def write_safetensors(path: Path, arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> None:
    """Write `arrays` to `path` so that the file there is at every moment the old one or the new.

    The file is written aside, forced to the disk and then renamed over `path`. Reading it back
    gives the names in the order of `arrays`. Raises TypeError or ValueError for what the format
    cannot hold, before anything is written, and CheckpointError when the disk does not take it.
    """
    order, header = _header(arrays, metadata)
    needed_bytes = len(header) + sum(array.nbytes for array in arrays.values())
    with replacing(path, needed_bytes) as write:
        write(memoryview(header))
        for name in order:
            write(_little_endian(arrays[name]).reshape(-1).view(np.uint8).data)


def _header(arrays: Mapping[str, Array], metadata: Mapping[str, str] | None) -> tuple[list[str], bytes]:
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


def _little_endian(array: Array) -> Array:
    """Return the values packed in row-major order; a copy only where they are not so already."""
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


# ---------------------------------------------------------------- replacing a file as a whole
class _Aside:
    """A file being written next to the one that it will replace.

    Where the system can (Linux, most file systems) it has no name until it is complete, so that
    even a kill leaves nothing behind; elsewhere it has a hidden name and a kill may leave that.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._directory = os.path.dirname(target)
        self._name: str | None = None
        self._descriptor = self._open()
        self.written_bytes = 0

    def _open(self) -> int:
        flags = os.O_WRONLY | getattr(os, "O_CLOEXEC", 0)
        # /proc is how a nameless file gets its name later on.
        if hasattr(os, "O_TMPFILE") and os.path.isdir("/proc/self/fd"):
            # Which of these it is, where the kernel or the file system cannot, is its own choice.
            with _ignoring(errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
                return os.open(self._directory, flags | os.O_TMPFILE, 0o666)
        self._name = self._fresh_name()
        return os.open(self._name, flags | os.O_CREAT | os.O_EXCL, 0o666)

    def _fresh_name(self) -> str:
        # Short on purpose: the target's own name may be as long as the file system allows.
        return os.path.join(self._directory, f".gradwire-{secrets.token_hex(8)}.partial")

    def write(self, values: memoryview) -> None:
        while values:
            count = os.write(self._descriptor, values[:_WRITE_BYTES])
            self.written_bytes += count
            values = values[count:]

    def commit(self) -> None:
        """Give the complete file the target's name, in one step and for good."""
        with suppress(FileNotFoundError):
            # A checkpoint that was made private stays private.
            os.fchmod(self._descriptor, stat.S_IMODE(os.stat(self._target).st_mode))
        os.fsync(self._descriptor)
        if self._name is None:
            name = self._fresh_name()
            # Only with a directory descriptor does os.link follow /proc's link to the file itself.
            os.link(f"/proc/self/fd/{self._descriptor}", name, src_dir_fd=self._descriptor)
            self._name = name
        os.replace(self._name, self._target)
        self._name = None
        # The new file is in place: a directory that cannot be synced is no failure of the save.
        with suppress(OSError):
            _sync_directory(self._directory)

    def close(self) -> None:
        os.close(self._descriptor)
        if self._name is not None:
            with suppress(FileNotFoundError):
                os.unlink(self._name)


@contextmanager
def _ignoring(*numbers: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in numbers:
            raise


def _sync_directory(directory: str) -> None:
    """Force the rename itself to the disk; without it a power cut may bring the old file back."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path, needed_bytes: int) -> Iterator[Callable[[memoryview], None]]:
    """Give a function that writes the next bytes of what will replace `path` on leaving."""
    # A symbolic link keeps pointing where it does; the file behind it is replaced.
    target = os.path.realpath(os.fspath(path))
    if os.path.exists(target) and not os.path.isfile(target) and not os.path.isdir(target):
        # Renaming over a device or a pipe would remove it from the system.
        raise CheckpointError(
            errno.EINVAL, f"saving needs the path of a file, or a new one; {target} is a device or a pipe"
        )
    written_bytes = 0
    try:
        aside = _Aside(target)
        try:
            yield aside.write
            aside.commit()
        finally:
            written_bytes = aside.written_bytes
            aside.close()
    except OSError as error:
        message = _save_failure(target, error, needed_bytes, written_bytes)
        raise CheckpointError(error.errno, message) from error


_ADVICE: Final = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of the quota",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f)",
    errno.ENOENT: "make the directory",
    errno.EACCES: "give write permission on the directory",
}


def _save_failure(target: str, error: OSError, needed_bytes: int, written_bytes: int) -> str:
    left = ""
    with suppress(OSError):
        left = f" with {shutil.disk_usage(os.path.dirname(target)).free:,} left on that disk"
    return (
        f"saving {target} needs {needed_bytes:,} bytes; got {str(error.strerror)!r} after "
        f"{written_bytes:,}{left}; what was there before is unchanged; "
        f"{_ADVICE.get(error.errno or 0, 'see to the disk')} or save elsewhere"
    )


# ---------------------------------------------------------------- reading
def read_safetensors(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Read a whole safetensors file; return its arrays, in the header's order, and its metadata.

    The arrays are fresh, writable and in the host's byte order. The file may come from anywhere:
    it is checked before values are read, so memory use is bounded by its size. Raises
    CheckpointError when it is not a whole and valid one, and what `open` raises when there is none.
    """
    with open(path, "rb") as file:
        try:
            return _read(file, os.fstat(file.fileno()).st_size)
        except _Invalid as invalid:
            raise CheckpointError(
                f"loading {os.fspath(path)} needs a whole safetensors file; {invalid}; "
                f"load another copy, or convert it to safetensors if it is of another format"
            ) from None


class _Invalid(Exception):
    """What is wrong with a file, as one clause of a sentence."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One array as a valid header describes it; offsets count from the end of the header."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


def _read(file: BufferedReader, file_bytes: int) -> tuple[dict[str, Array], dict[str, str]]:
    header, data_bytes = _read_header(file, file_bytes)
    metadata = _checked_metadata(header.pop(_METADATA, {}), _Invalid)
    entries = [_entry(name, fields) for name, fields in header.items()]
    in_file_order = sorted(entries, key=lambda entry: (entry.begin, entry.end))
    _check_cover(in_file_order, data_bytes)
    arrays = {entry.name: _read_array(file, entry) for entry in in_file_order}
    return {entry.name: arrays[entry.name] for entry in entries}, metadata


def _read_header(file: BufferedReader, file_bytes: int) -> tuple[dict[str, Any], int]:
    """Return the parsed header and how many bytes follow it."""
    prefix = file.read(_LENGTH_BYTES)
    if len(prefix) < _LENGTH_BYTES:
        raise _Invalid(f"it has {len(prefix)} bytes, fewer than the {_LENGTH_BYTES} of its length")
    length = int.from_bytes(prefix, "little")
    data_bytes = file_bytes - _LENGTH_BYTES - length
    if length > _MAX_HEADER_BYTES or data_bytes < 0:
        bound = min(_MAX_HEADER_BYTES, file_bytes - _LENGTH_BYTES)
        raise _Invalid(f"its header claims {length:,} bytes where {bound:,} are possible")
    raw = file.read(length)
    if len(raw) != length:
        raise _Invalid(f"its header ended after {len(raw):,} of {length:,} bytes")
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
        raise _Invalid(f"its header is not valid JSON text ({error!s:.200})") from None
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
        raise _Invalid(f"{_short(name)} needs dtype, shape and data_offsets; got {_short(fields)}")
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise _Invalid(f"{_short(name)} has the dtype {_short(dtype)}, of which numpy has none")
    if not isinstance(shape, list) or len(shape) > MAX_NDIM or not all(map(_is_count, shape)):
        raise _Invalid(f"{_short(name)} needs at most {MAX_NDIM} counts as shape; got {_short(shape)}")
    # Zeros left out: numpy wants the other sizes of an empty array in range as well.
    if math.prod(size for size in shape if size) > MAX_NUMEL:
        raise _Invalid(f"{_short(name)} has the shape {_short(shape)}, of more than 2**56 elements")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_count, offsets)):
        raise _Invalid(f"{_short(name)} needs two counts as data_offsets; got {_short(offsets)}")
    begin, end = offsets
    size_bytes = math.prod(shape) * _DTYPES[dtype].itemsize
    if end - begin != size_bytes:
        raise _Invalid(
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
            raise _Invalid(f"there is {what} before {_short(entry.name)} at {entry.begin:,}")
        position = entry.end
    if position != data_bytes:
        raise _Invalid(f"its arrays take {position:,} bytes; behind the header are {data_bytes:,}")


def _read_array(file: BufferedReader, entry: _Entry) -> Array:
    flat = np.empty(entry.end - entry.begin, np.uint8)
    # numpy.empty holds freed memory: a short read must never pass for values.
    if file.readinto(flat.data) != flat.size:
        raise _Invalid(f"it ended within {_short(entry.name)}")
    if entry.dtype.kind == "b" and flat.size and flat.max() > 1:
        raise _Invalid(f"{_short(entry.name)} is BOOL and holds {flat.max()}, which is neither 0 nor 1")
    array = flat.view(entry.dtype).reshape(entry.shape)
    return array.astype(entry.dtype.newbyteorder("="), copy=False)
