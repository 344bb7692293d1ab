"""Writing a `.pt` file: which storages hold the tensors of a value, and the zip file around them and the program."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np

from gradwire.conversion import fetch
from gradwire.pt_file.program import Program
from gradwire_protocol.ops.shape import span
from gradwire_protocol.registry import torch_type_name

__all__ = ["PtWriter"]


@dataclass(slots=True)
class _Window:
    """The stretch of a worker's memory that one record of the file holds; `tensor` is the one that reaches over all of it."""

    tensor: Any
    start: int
    numel: int
    key: str = ""


@dataclass(slots=True)
class _Plan:
    """The windows that will be written, by the memory that they are of."""

    windows: dict[Any, list[_Window]] = field(default_factory=dict)
    written: list[_Window] = field(default_factory=list)

    def add(self, tensor: Any) -> None:
        """Count a tensor's window in."""
        window = _window(tensor)
        self.windows.setdefault(_memory(tensor), []).append(window)

    def settle(self) -> None:
        """Drop windows that lie within another, so that tensors which share memory do so in the file."""
        for memory, windows in self.windows.items():
            kept: list[_Window] = []
            for window in sorted(windows, key=lambda each: (each.start, -each.numel)):
                if not kept or window.start + window.numel > kept[-1].start + kept[-1].numel:
                    kept.append(window)
            self.windows[memory] = kept

    def find(self, tensor: Any) -> _Window:
        """Return the window that a tensor lies in, and give it a number at first use."""
        own = _window(tensor)
        for window in self.windows[_memory(tensor)]:
            if window.start <= own.start and own.start + own.numel <= window.start + window.numel:
                break
        if not window.key:
            window.key = str(len(self.written))
            self.written.append(window)
        return window


def _memory(tensor: Any) -> Any:
    # The storage's own object stands for memory that `tensor.data` shares under another version.
    return (id(tensor.session), id(tensor.storage.memory), tensor.dtype)


def _window(tensor: Any) -> _Window:
    meta = tensor.meta
    return _Window(tensor, tensor.offset, span(meta.shape, meta.strides) if meta.numel else 0)


def _tensors(value: Any, seen: set[int]) -> Iterator[Any]:
    """Yield the tensors in a nesting of containers and modules, each of them once."""
    from gradwire.nn.module import Module
    from gradwire.tensor import Tensor

    if isinstance(value, Tensor):
        if value.is_sparse:
            raise TypeError(
                "sparse tensors are not saved; save indices(), values() and size(), and make it again from those"
            )
        yield value
        return
    if not isinstance(value, Mapping | list | tuple | set | Module) or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Module):
        value = value.__dict__
    for item in value.values() if isinstance(value, Mapping) else value:
        yield from _tensors(item, seen)


def _write_tensor(plan: _Plan, program: Program, tensor: Any) -> None:
    from gradwire.nn.parameter import Parameter

    if isinstance(tensor, Parameter):
        program.write_global("torch._utils", "_rebuild_parameter")
        program.emit(b"(")
        _write_window(plan, program, tensor, False)
        program.write(tensor.requires_grad)
        program.write_empty_ordered_dict()
        program.emit(b"tR")
    else:
        _write_window(plan, program, tensor, tensor.requires_grad)


def _write_window(plan: _Plan, program: Program, tensor: Any, requires_grad: bool) -> None:
    window = plan.find(tensor)
    program.write_global("torch._utils", "_rebuild_tensor_v2")
    program.emit(b"((")
    program.write_text("storage")
    program.write_global("torch", f"{torch_type_name(tensor.dtype)}Storage")
    program.write_text(window.key)
    # Values leave the worker through this process's memory, so any machine can load them.
    program.write_text("cpu")
    program.write_int(window.numel)
    program.emit(b"tQ")
    program.write_int(tensor.offset - window.start if window.numel else 0)
    program.write_tuple(tensor.meta.shape)
    program.write_tuple(tensor.meta.strides)
    program.write(requires_grad)
    program.write_empty_ordered_dict()
    program.emit(b"tR")


def _elements(window: _Window) -> memoryview:
    """Wait for the elements of a window and return their bytes, little-endian."""
    tensor = window.tensor.detach()
    if window.numel and not tensor.meta.is_contiguous:
        tensor = tensor.as_strided((window.numel,), (1,))
    values = np.ascontiguousarray(fetch(tensor))
    if values.dtype.byteorder == ">" or (values.dtype.byteorder == "=" and np.little_endian is False):
        values = values.astype(values.dtype.newbyteorder("<"))
    return values.reshape(-1).view(np.uint8).data


class PtWriter:
    """A nesting of tensors and plain values, laid out as a `.pt` file, which `torch.load(weights_only=True)` reads too.

    Making one raises TypeError for a value of another type, and waits for nothing.
    """

    def __init__(self, value: Any) -> None:
        plan = _Plan()
        for tensor in _tensors(value, set()):
            plan.add(tensor)
        plan.settle()
        program = Program(lambda program, tensor: _write_tensor(plan, program, tensor))
        program.write(value)
        self._windows, self._program = plan.written, program.finished()

    @property
    def nbytes(self) -> int:
        """Return about how many bytes the file will have."""
        return len(self._program) + sum(int(window.numel * window.tensor.dtype.itemsize) for window in self._windows)

    def write(self, file: IO[bytes], folder: str) -> None:
        """Write the file, waiting for the tensors one record at a time; `folder` is where in it the records lie."""
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(_entry(folder, "data.pkl"), self._program)
            archive.writestr(_entry(folder, "byteorder"), b"little")
            for window in self._windows:
                elements = _elements(window)
                entry = _entry(folder, f"data/{window.key}")
                entry.file_size = elements.nbytes
                with archive.open(entry, "w") as record:
                    record.write(elements)
            archive.writestr(_entry(folder, "version"), b"3\n")


def _entry(folder: str, name: str) -> zipfile.ZipInfo:
    # A fixed date, so that equal values make equal files.
    return zipfile.ZipInfo(f"{folder}/{name}", date_time=(1980, 1, 1, 0, 0, 0))
