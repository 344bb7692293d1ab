"""Where tensors live: `Backend`, through which alone the worker meets an array library.

Owns the way in and out of device memory, and the choice of namespace: numpy, CuPy, or the strict
namespace of the tests. This is the only importer of cupy, and it imports it only when a CUDA
backend is opened, so that a worker on a machine without CuPy starts. Nothing here knows of
sessions, handles or ops.

Not yet run on a GPU: `CudaBackend` is tested as far as CuPy goes without one (memory, views, its
refusals).
"""

from __future__ import annotations

import ctypes
import glob
import os
import platform
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradwire_protocol.dtypes import bfloat16
from gradwire_server.loops import numba_version
from gradwire_server.mkl import mkl_version

__all__ = ["Backend", "CpuBackend", "CudaBackend", "HostArray", "open_backend"]

HostArray = np.ndarray[Any, np.dtype[Any]]

# The dtypes of device arrays: CuPy has no object, text, date or long double arrays. It shares ml_dtypes' bfloat16.
DEVICE_CHARS = frozenset("?bhilqBHILQefdFD" + bfloat16.numpy.char)


@dataclass(frozen=True, slots=True)
class Backend(ABC):
    """One device and the array library that computes on it.

    `name` picks backend-specific kernels; `device` is what users see; `xp` is the namespace that
    kernels get; `array_type` is the type of its arrays.
    """

    name: str
    device: str
    xp: Any
    array_type: type[Any]

    @abstractmethod
    def from_host(self, host: HostArray) -> Any:
        """Return a C-contiguous, writable device array with the elements of `host`.

        Device memory of its own on all but the CPU, which takes over the caller's memory where it
        can. Raises TypeError for a dtype that devices do not have (objects, text, foreign byte
        order).
        """

    @abstractmethod
    def to_host(self, array: Any) -> HostArray:
        """Wait for the device and return its elements, C-contiguous.

        On the CPU this may be the array's own memory: read it before the next call runs, and never
        write to it.
        """

    @abstractmethod
    def as_strided(self, array: Any, shape: Sequence[int], strides_bytes: Sequence[int], offset_bytes: int = 0) -> Any:
        """Return a view of a C-contiguous array's memory, as PyTorch's `as_strided` of a storage.

        Unlike `xp.lib.stride_tricks.as_strided` it takes an offset, is five to ten times as fast on
        numpy, and raises ValueError where the view would reach outside of the array's memory.
        """

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until all work that was given to the device is done."""

    @abstractmethod
    def active(self) -> AbstractContextManager[Any]:
        """Make the calling thread ready to run kernels, while the context lasts.

        The device becomes current (CUDA keeps that by thread), and numpy gives inf and NaN without
        warnings, as PyTorch does.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """Return what decides the last bits of results.

        Library builds, BLAS kernel and threads, device model. Two workers with equal fingerprints
        give equal bits. Read it anew where thread counts may have changed.
        """

    def memory_of(self, array: Any) -> tuple[int, int]:
        """Return (identity, bytes) of the memory that keeps an array alive: the whole of it for a view."""
        owner = base = array
        while base is not None:
            if isinstance(base, np.ndarray):
                owner = base
            base = getattr(base, "base", None)  # between the arrays of as_strided lies something that is none
        return id(owner), int(owner.nbytes)

    def empty(self, shape: Sequence[int], dtype: np.dtype[Any]) -> Any:
        """Return memory as its last user left it: only for results that are written whole."""
        return self.xp.empty(tuple(shape), dtype)


def open_backend(device: str) -> Backend:
    """Open "cpu", "cuda" or "cuda:N", or (for tests) "strict" or "strict:N".

    Raises RuntimeError, as PyTorch does, for another name, and for a CUDA device that cannot be
    had: the message says what is missing.
    """
    found = re.fullmatch(r"(cpu|cuda|strict)(?::(\d{1,4}))?", device)
    if found is None or (found[1] == "cpu" and found[2] not in (None, "0")):
        raise RuntimeError(f'a backend needs a device "cpu", "cuda" or "cuda:N"; got {device!r}; name one of these')
    index = int(found[2] or 0)
    if found[1] == "cpu":
        return CpuBackend("cpu", "cpu", np, np.ndarray)
    if found[1] == "cuda":
        return _open_cuda(index)
    from gradwire_server.strict import open_strict  # here, since strict builds on this module

    return open_strict(index)


@dataclass(frozen=True, slots=True)
class CpuBackend(Backend):
    """numpy in this process."""

    def from_host(self, host: HostArray) -> Any:
        """Adopt `host`; copy it where it is read-only (bytes off the wire), strided, unaligned."""
        return np.require(checked_host(host), requirements=("C", "A", "W"))

    def to_host(self, array: Any) -> HostArray:
        """Return the array itself where it is C-contiguous."""
        return np.asarray(array, order="C")

    def as_strided(self, array: Any, shape: Sequence[int], strides_bytes: Sequence[int], offset_bytes: int = 0) -> Any:
        """View memory; numpy itself checks the bounds."""
        check_whole(array)
        return np.ndarray(shape, array.dtype, array, offset_bytes, strides_bytes)

    def synchronize(self) -> None:
        """Return at once: numpy's calls are done when they return."""

    def active(self) -> AbstractContextManager[Any]:
        """Silence numpy's floating-point warnings in this thread."""
        return np.errstate(all="ignore")

    def fingerprint(self) -> str:
        """Describe numpy, its BLAS and the processor."""
        return host_fingerprint()


@dataclass(frozen=True, slots=True)
class CudaBackend(Backend):
    """CuPy, which is `xp`, on one NVIDIA GPU."""

    index: int

    def from_host(self, host: HostArray) -> Any:
        """Copy and wait for it, so that the caller may reuse even pinned memory at once."""
        with self.active():
            return self.xp.array(checked_host(host), order="C", blocking=True)

    def to_host(self, array: Any) -> HostArray:
        """Copy from the device and wait for it."""
        with self.active():
            host: HostArray = self.xp.asnumpy(array, order="C")
        return host

    def as_strided(self, array: Any, shape: Sequence[int], strides_bytes: Sequence[int], offset_bytes: int = 0) -> Any:
        """View memory, after the check that CuPy leaves out."""
        check_extent(array, shape, strides_bytes, offset_bytes)
        memory = array.data + offset_bytes
        return self.xp.ndarray(tuple(shape), array.dtype, memptr=memory, strides=tuple(strides_bytes))

    def synchronize(self) -> None:
        """Wait for all streams of the device."""
        self.xp.cuda.Device(self.index).synchronize()

    def active(self) -> AbstractContextManager[Any]:
        """Make this device the thread's current one."""
        context: AbstractContextManager[Any] = self.xp.cuda.Device(self.index)
        return context

    def memory_of(self, array: Any) -> tuple[int, int]:
        """Ask CuPy for the block."""
        return id(array.data.mem), int(array.data.mem.size)

    def empty(self, shape: Sequence[int], dtype: np.dtype[Any]) -> Any:
        """Return unwritten memory of this device, whichever is current."""
        with self.active():
            return self.xp.empty(tuple(shape), dtype)

    def fingerprint(self) -> str:
        """Describe the GPU, its driver and the CUDA libraries."""
        cuda, runtime = self.xp.cuda, self.xp.cuda.runtime
        properties = runtime.getDeviceProperties(self.index)
        with self.active():  # a cuBLAS handle belongs to the current device
            cublas = cuda.cublas.getVersion(cuda.device.get_cublas_handle())
        facts = {
            "cupy": self.xp.__version__,
            "device": properties["name"].decode(),
            "capability": f"{properties['major']}.{properties['minor']}",
            "runtime": runtime.runtimeGetVersion(),
            "cublas": cublas,
            "nvrtc": ".".join(map(str, cuda.nvrtc.getVersion())),
            "driver": runtime.driverGetVersion(),
            "tf32": os.environ.get("CUPY_TF32", "0"),
            "accelerators": os.environ.get("CUPY_ACCELERATORS", "default"),
            "numpy": np.__version__,
        }
        return _joined(facts)


def _open_cuda(index: int) -> Backend:
    try:
        import cupy
    except ImportError as error:
        raise RuntimeError(
            f"cuda:{index} needs CuPy on the worker; got {type(error).__name__}: {error}; install "
            "gradwire[cuda12] or gradwire[cuda13] there, whichever its driver supports, or use "
            "the device cpu"
        ) from error
    _check_device(cupy, index)
    return CudaBackend("cuda", f"cuda:{index}", cupy, cupy.ndarray, index)


def _check_device(cupy: Any, index: int) -> None:
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise RuntimeError(
            f"Found no NVIDIA driver that works on the worker: cuda:{index} needs one; CUDA says "
            f"{error}; check that nvidia-smi lists the GPU there, or use the device cpu"
        ) from error
    if index >= count:
        raise RuntimeError(
            f"CUDA error: invalid device ordinal: cuda:{index} needs {index + 1} GPUs on the "
            f"worker; got {count}; use a device below cuda:{count}, and look at "
            "CUDA_VISIBLE_DEVICES"
        )


def checked_host(host: HostArray) -> HostArray:
    """Return `host` if devices have its dtype; raise TypeError otherwise."""
    if not isinstance(host, np.ndarray):
        raise TypeError(f"from_host needs a numpy array; got {type(host).__name__}; use numpy.asarray first")
    if host.dtype.char not in DEVICE_CHARS or not host.dtype.isnative:
        raise TypeError(
            "from_host needs numbers or bools in this machine's byte order; got dtype "
            f"{host.dtype.str}; convert it with astype first"
        )
    return host


def check_whole(array: Any) -> None:
    """Raise ValueError unless an array covers its memory without gaps, in order."""
    if not array.flags.c_contiguous:
        raise ValueError(f"as_strided needs a C-contiguous array; got strides {tuple(array.strides)}; copy it first")


def check_extent(array: Any, shape: Sequence[int], strides_bytes: Sequence[int], offset_bytes: int) -> None:
    """Raise ValueError unless a view lies inside the memory of a C-contiguous array."""
    check_whole(array)
    low = high = offset_bytes
    if 0 not in shape:
        spans = [(size - 1) * stride for size, stride in zip(shape, strides_bytes, strict=True)]
        low += sum(span for span in spans if span < 0)
        high += sum(span for span in spans if span > 0) + array.dtype.itemsize
    if low < 0 or high > array.nbytes or min(shape, default=0) < 0:
        raise ValueError(
            f"as_strided needs a view inside of its {array.nbytes} bytes; got shape "
            f"{tuple(shape)}, strides {tuple(strides_bytes)} and offset {offset_bytes} bytes, "
            f"which reach from {low} to {high}"
        )


def host_fingerprint() -> str:
    """Describe what decides the last bits of numpy's results on this machine."""
    config: Any = np.show_config(mode="dicts")
    blas = config["Build Dependencies"]["blas"]
    facts = {
        "numpy": np.__version__,
        "simd": "+".join(config.get("SIMD Extensions", {}).get("found", ())),
        "blas": f"{blas.get('name')} {blas.get('version')}",
        "blas kernel and threads": _openblas() or f"unknown, {_thread_settings()}",
        "libc": " ".join(platform.libc_ver()),
        "processor": _processor(),
        "numba": numba_version() or "none",
        "mkl": mkl_version() or "none",
    }
    return _joined(facts)


def _joined(facts: dict[str, Any]) -> str:
    return "; ".join(f"{name}={value}" for name, value in facts.items())


def _openblas() -> str:
    """Return the kernel that OpenBLAS chose and its thread count; "" where numpy has another BLAS.

    Asked of the library that numpy's wheels bring, under the names that its builds give to the two
    functions.
    """
    folder = os.path.dirname(os.path.dirname(np.__file__))
    pattern = os.path.join(folder, "numpy.libs", "*openblas*")
    for path in glob.glob(pattern) + glob.glob(os.path.join(folder, "numpy", ".dylibs", "*openblas*")):
        library = ctypes.CDLL(path)  # loaded already, by numpy: this is the same instance
        for template in ("scipy_{}64_", "scipy_{}", "{}64_", "{}"):
            core = getattr(library, template.format("openblas_get_corename"), None)
            threads = getattr(library, template.format("openblas_get_num_threads"), None)
            if core is not None and threads is not None:
                core.restype, threads.restype = ctypes.c_char_p, ctypes.c_int
                return f"{core().decode()} x{threads()}"
    return ""


def _thread_settings() -> str:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    given = [f"{name} {os.environ[name]}" for name in names if name in os.environ]
    return ", ".join(given) or f"{os.cpu_count()} processors"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()
