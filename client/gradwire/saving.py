"""`save` and `load`: checkpoints as PyTorch's `.pt` files, state_dicts as safetensors. Nothing loaded is ever executed."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import IO, Any, cast

from gradwire.conversion import fetch, from_array
from gradwire.device import Device
from gradwire.pt_file import PtWriter, read_pt
from gradwire.safetensors import read_safetensors, replacing, write_safetensors
from gradwire_protocol.dtypes import from_numpy
from gradwire_protocol.errors import CheckpointError

__all__ = ["load", "save"]

_ZIP = b"PK\x03\x04"
# How `torch.save` began before PyTorch 1.6, and with _use_new_zipfile_serialization=False: a pickled magic number.
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def save(obj: Any, f: str | os.PathLike[str] | IO[bytes]) -> None:
    """Write tensors, alone or nested in plain containers with numbers and text; waits for their values.

    A path that ends in .safetensors takes a mapping of names to tensors in that format; everything else is PyTorch's .pt
    format, which `torch.load` reads too. `f` may be an open binary file. A file is replaced as a whole or not at all.
    Raises TypeError for what a format cannot hold, and CheckpointError if the file cannot be written.
    """
    if not isinstance(f, str | os.PathLike):
        PtWriter(obj).write(f, "archive")
    elif os.fspath(f).endswith(".safetensors"):
        _save_safetensors(obj, os.fspath(f))
    else:
        stem = os.path.basename(os.fspath(f)).partition(".")[0] or "archive"
        writer = PtWriter(obj)
        with replacing(f, writer.nbytes) as write:
            writer.write(cast(IO[bytes], _Stream(write)), stem)


class _Stream(io.RawIOBase):
    """What `zipfile` writes to: it goes on to the file that is written aside."""

    def __init__(self, write: Any) -> None:
        super().__init__()
        self._write = write

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Write all of it."""
        view = memoryview(data).cast("B")
        self._write(view)
        return view.nbytes


def _save_safetensors(obj: Any, path: str) -> None:
    from gradwire.tensor import Tensor

    if not isinstance(obj, Mapping):
        raise TypeError(
            "save needs a mapping of names to tensors, such as a state_dict, for a .safetensors file; got "
            f"{type(obj).__name__}; use the suffix .pt"
        )
    for name, value in obj.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise TypeError(
                f"save needs a mapping of names to tensors, such as a module's state_dict, for a .safetensors file; {name!r} is "
                f"a {type(value).__name__}; use the suffix .pt"
            )
    write_safetensors(path, {name: fetch(value.detach()) for name, value in obj.items()})


def load(
    f: str | os.PathLike[str] | IO[bytes],
    map_location: Any = None,
    *,
    weights_only: bool = True,
    mmap: bool | None = None,
) -> Any:
    """Return what `save`, `torch.save` or a safetensors library wrote; the content says which.

    All tensors come to one worker, the first unless `map_location` names another's device; a function or a dict, which would
    choose for each tensor, chooses nothing. Loading never runs code; with `weights_only=False` it takes whole modules too, of
    classes that this process has imported. Raises CheckpointError
    for a file that is not whole, or that holds objects of other classes than tensors and plain containers.
    """
    if mmap:
        raise ValueError("load sends a file's values to a worker, so it cannot map them; got mmap=True; leave it out")
    with _located(map_location):
        return _load(f, weights_only)


def _load(f: str | os.PathLike[str] | IO[bytes], weights_only: bool) -> Any:
    if isinstance(f, str | os.PathLike):
        with open(f, "rb") as file:
            start = file.read(len(_LEGACY))
            if start.startswith(_ZIP):
                return read_pt(file, os.fspath(f), weights_only=weights_only)
        _refuse_legacy(start, os.fspath(f))
        arrays, _ = read_safetensors(os.fspath(f))
        return {name: from_array(values, from_numpy(values.dtype)) for name, values in arrays.items()}
    return _load_file(f, weights_only)


def _load_file(f: IO[bytes], weights_only: bool) -> Any:
    content = io.BytesIO(f.read())
    start = content.getvalue()[: len(_LEGACY)]
    _refuse_legacy(start, "this file")
    if not start.startswith(_ZIP):
        raise CheckpointError(
            "loading an open file needs PyTorch's .pt format in it; load a safetensors file by its path"
        )
    return read_pt(content, "this file", weights_only=weights_only)


def _refuse_legacy(start: bytes, name: str) -> None:
    if start == _LEGACY:
        raise CheckpointError(
            f"loading {name} needs the zip format that torch.save writes since PyTorch 1.6; it has the older one; load and save "
            "it again with PyTorch"
        )


def _located(map_location: Any) -> AbstractContextManager[Any]:
    """Return a context in which tensors are made where `map_location` says."""
    if map_location is None or callable(map_location) or isinstance(map_location, Mapping):
        return nullcontext()
    if not isinstance(map_location, str | Device):
        raise TypeError(f"load needs map_location as a device, a function or a dict; got {type(map_location).__name__}")
    return Device(map_location)
