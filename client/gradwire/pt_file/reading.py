"""Reading a `.pt` file: its storages to the worker, and the containers around their tensors rebuilt here."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, Literal

import numpy as np

from gradwire.conversion import from_array
from gradwire.device import Device
from gradwire.properties import Size
from gradwire.pt_file import modules
from gradwire.pt_file.interpreter import Builder, Interpreter, Refused
from gradwire_protocol.dtypes import DTYPES, DType
from gradwire_protocol.errors import CheckpointError
from gradwire_protocol.limits import MAX_NDIM
from gradwire_protocol.registry import torch_type_name

__all__ = ["read_pt"]

_STORAGES = {f"torch.{torch_type_name(dtype)}Storage": dtype for dtype in DTYPES}
_DTYPES = {f"torch.{dtype.name}": dtype for dtype in DTYPES}


@dataclass(frozen=True, slots=True)
class _StorageType:
    """What stands for a class such as `torch.FloatStorage`."""

    dtype: DType


@dataclass(frozen=True, slots=True)
class _Storage:
    """A storage of the file, whose elements are on the worker as one vector."""

    elements: Any
    dtype: DType
    numel: int


def read_pt(file: IO[bytes], name: str, *, weights_only: bool = True) -> Any:
    """Return what a `.pt` file holds: plain containers, numbers and text, with its tensors on the worker.

    Storages that tensors share are shared, and strides kept. Raises CheckpointError for a file that is not whole, and for
    one that names any class or function beyond those. Without `weights_only`, modules of imported classes are let in.
    """
    try:
        with _opened(file) as archive:
            return _Archive(archive, weights_only).value()
    except Refused as error:
        raise CheckpointError(
            f"loading {name} needs a whole .pt file of tensors and plain containers; {error}; save it again as a state_dict, "
            "without objects of other classes"
        ) from None


# What `zipfile` raises for archives that are damaged, or that use what it lacks.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    struct.error,
    zlib.error,
)


def _opened(file: IO[bytes]) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except _ZIP_ERRORS as error:
        raise Refused(f"it is no whole zip archive ({error!s:.100})") from None


class _Archive:
    """The records of a zip file under its one folder."""

    def __init__(self, archive: zipfile.ZipFile, weights_only: bool) -> None:
        self._archive = archive
        self._weights_only = weights_only
        names = archive.namelist()
        described = [name for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(described) != 1 or any(name.endswith("/constants.pkl") for name in names):
            raise Refused("it has no data.pkl, or it is a TorchScript archive")
        self._folder = described[0].removesuffix("data.pkl")
        self._names = set(names)
        self._storages: dict[str, _Storage] = {}
        self._order = self._byte_order()

    def value(self) -> Any:
        """Run the program that describes the value."""
        return Interpreter(_find if self._weights_only else _find_module, self._storage).run(self._record("data.pkl"))

    def _record(self, name: str) -> bytes:
        full = self._folder + name
        if full not in self._names:
            raise Refused(f"it lacks the record {name:.100}")
        entry = self._archive.getinfo(full)
        # PyTorch never compresses; a record that does could claim any size.
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise Refused(f"its record {name:.100} is compressed")
        try:
            return self._archive.read(full)
        except _ZIP_ERRORS as error:
            raise Refused(f"its record {name:.100} cannot be read ({error!s:.100})") from None

    def _byte_order(self) -> Literal["<", ">"]:
        if f"{self._folder}byteorder" not in self._names:
            return "<"
        order = self._record("byteorder")
        if order not in (b"little", b"big"):
            raise Refused(f"its byte order is {order[:20]!r}")
        return "<" if order == b"little" else ">"

    def _storage(self, identity: Any) -> _Storage:
        """Return the storage of a persistent id `("storage", type, key, location, numel)`, reading it at first use."""
        if type(identity) is not tuple or len(identity) != 5 or identity[0] != "storage":
            raise Refused("its pickle refers to something that is no storage")
        _, kind, key, _, numel = identity
        if not isinstance(kind, _StorageType) or not isinstance(key, str) or not _is_count(numel):
            raise Refused(f"its storage {key!r:.100} is described wrongly")
        if key not in self._storages:
            self._storages[key] = self._read_storage(kind.dtype, key, numel)
        found = self._storages[key]
        if (found.dtype, found.numel) != (kind.dtype, numel):
            raise Refused(f"its storage {key!r:.100} is described in two ways")
        return found

    def _read_storage(self, dtype: DType, key: str, numel: int) -> _Storage:
        raw = self._record(f"data/{key}")
        if len(raw) != numel * dtype.itemsize:
            raise Refused(
                f"its storage {key:.100} of {numel:,} {dtype.name} takes {numel * dtype.itemsize:,} bytes; the record has "
                f"{len(raw):,}"
            )
        values = np.frombuffer(raw, dtype.numpy.newbyteorder(self._order) if dtype.itemsize > 1 else dtype.numpy)
        if dtype.name == "bool" and numel and np.frombuffer(raw, np.uint8).max() > 1:
            raise Refused(f"its storage {key:.100} is bool and holds other numbers than 0 and 1")
        return _Storage(from_array(values, dtype), dtype, numel)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


# ---------------------------------------------------------------- the table of builders
def _rebuild_tensor(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any = False,
    hooks: Any = None,
    metadata: Any = None,
) -> Any:
    """Return the tensor of a window of a storage, checked first: `torch._utils._rebuild_tensor_v2`."""
    counts = [size, stride] if type(size) in (tuple, Size) and type(stride) is tuple else [(None,)]
    if not isinstance(storage, _Storage) or not all(map(_is_count, (offset, *counts[0], *counts[-1]))):
        raise Refused("its pickle has a tensor that is described wrongly")
    if len(size) != len(stride) or len(size) > MAX_NDIM or metadata or hooks:
        raise Refused(f"its pickle has a tensor of size {size!r:.100} and strides {stride!r:.100}, or with hooks")
    reach = 1 + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if 0 not in size and offset + reach > storage.numel:
        raise Refused(
            f"a tensor of size {size!r:.100}, strides {stride!r:.100} and offset {offset} reaches out of {storage.numel:,} "
            "elements"
        )
    if 0 in size:
        made = storage.elements.new_empty(tuple(size))
    else:
        # Detached: a loaded tensor shares memory with others, and is no view of any to autograd.
        made = storage.elements.as_strided(tuple(size), stride, offset).detach()
    return made.requires_grad_(True) if requires_grad else made


def _rebuild_parameter(data: Any, requires_grad: Any, hooks: Any = None) -> Any:
    from gradwire.nn.parameter import Parameter
    from gradwire.tensor import Tensor

    if not isinstance(data, Tensor) or hooks:
        raise Refused("its pickle has a parameter that is no tensor, or has hooks")
    return Parameter(data, bool(requires_grad))


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise Refused("its pickle has bytes in an encoding other than latin1")
    return text.encode("latin1")


def _size(sizes: Any = ()) -> Size:
    if not all(map(_is_count, sizes)):
        raise Refused("its pickle has a torch.Size of what are no sizes")
    return Size(sizes)


def _complex(real: Any, imaginary: Any = 0) -> complex:
    if type(real) not in (int, float) or type(imaginary) not in (int, float):
        raise Refused("its pickle has a complex number of what are no numbers")
    return complex(real, imaginary)


def _bytes(value: Any = b"") -> bytes:
    # A number would ask for that many bytes.
    if not isinstance(value, bytes):
        raise Refused("its pickle has bytes of what are none")
    return value


def _set(items: Any = ()) -> set[Any]:
    if type(items) not in (list, tuple) or not all(isinstance(item, str | int | float | bytes) for item in items):
        raise Refused("its pickle has a set of what is not plain")
    return set(items)


def _ordered(items: Any = ()) -> OrderedDict[Any, Any]:
    made: OrderedDict[Any, Any] = OrderedDict()
    for key, value in items:
        if not isinstance(key, str | int | float | bytes):
            raise Refused("its pickle has a mapping whose keys are not plain")
        made[key] = value
    return made


def _device(kind: Any, index: Any = None) -> Device:
    return Device(kind, index)


_BUILDERS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch.Size": _size,
    "torch.device": _device,
    "_codecs.encode": _encode,
}
for _module in ("__builtin__", "builtins"):
    _BUILDERS |= {
        f"{_module}.set": _set,
        f"{_module}.complex": _complex,
        f"{_module}.bytes": _bytes,
        f"{_module}.bytearray": lambda value=b"": bytearray(_bytes(value)),
    }


def _find(name: str) -> Any:
    """Return what stands for a global, from the table and from nowhere else."""
    if name in _STORAGES:
        return _StorageType(_STORAGES[name])
    if name in _DTYPES:
        return _DTYPES[name]
    if name in modules.BUILDERS:
        if modules.allowed:
            return Builder(name, modules.ALLOWED_BUILDERS[name])
        raise Refused("it holds a whole module, which load takes with weights_only=False")
    if name in _BUILDERS:
        return Builder(name, _BUILDERS[name])
    raise Refused(f"its pickle names {name:.200}, which is none of PyTorch's tensor types and no plain container")


def _find_module(name: str) -> Any:
    """Return what stands for a global, modules included."""
    return Builder(name, modules.BUILDERS[name]) if name in modules.BUILDERS else _find(name)
