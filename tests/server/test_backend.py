"""Backends: the way in and out of device memory, views, fingerprints, and clear refusals where there is no GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gradwire_server.backend import Backend, CudaBackend, open_backend

DTYPES = [
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "bool",
    "complex64",
    "complex128",
]


@pytest.fixture(params=["cpu", "strict"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return open_backend(request.param)


@pytest.fixture
def gpu() -> Iterator[Backend]:
    try:
        opened = open_backend("cuda:0")
    except RuntimeError as error:
        pytest.skip(f"no NVIDIA GPU: {error}")
    with opened.active():
        yield opened


def run_python(code: str, **environment: str) -> str:
    """Return what a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


# --- what is opened


@pytest.mark.parametrize(
    ("name", "device"), [("cpu", "cpu"), ("cpu:0", "cpu"), ("strict", "strict:0"), ("strict:2", "strict:2")]
)
def test_a_backend_says_what_it_is(name: str, device: str) -> None:
    opened = open_backend(name)
    assert opened.device == device
    assert opened.name == device.partition(":")[0]
    assert type(opened.from_host(np.zeros(2))) is opened.array_type
    assert type(opened.xp.zeros(2)) is opened.array_type


@pytest.mark.parametrize("name", ["", "tpu", "cpu:1", "cuda:-1", "cuda:x", "cuda:0 ", "CPU"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(RuntimeError, match=r'needs a device "cpu", "cuda" or "cuda:N"; got'):
        open_backend(name)


def test_a_cpu_worker_imports_neither_cupy_nor_the_strict_namespace() -> None:
    code = (
        "import sys; from gradwire_server.backend import open_backend; open_backend('cpu')\nprint(sorted(sys.modules))"
    )
    loaded = run_python(code)
    assert "'cupy'" not in loaded
    assert "gradwire_server.strict" not in loaded


# --- in and out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
def test_values_come_back_as_they_went(backend: Backend, dtype: str, shape: tuple[int, ...]) -> None:
    host = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    back = backend.to_host(backend.from_host(host.copy()))
    assert type(back) is np.ndarray
    assert (back.dtype, back.shape) == (host.dtype, shape)
    assert back.flags.c_contiguous
    np.testing.assert_array_equal(back, host)


def test_strided_arrays_become_contiguous_both_ways(backend: Backend) -> None:
    host = np.arange(24.0).reshape(4, 6)
    array = backend.from_host(host[::2, ::-3])
    assert array.flags.c_contiguous
    np.testing.assert_array_equal(backend.to_host(array), host[::2, ::-3])
    turned = backend.to_host(backend.from_host(host).T)
    assert turned.flags.c_contiguous
    np.testing.assert_array_equal(turned, host.T)


def test_read_only_bytes_become_a_writable_array(backend: Backend) -> None:
    array = backend.from_host(np.frombuffer(bytes(8), np.float32))
    array += 1
    np.testing.assert_array_equal(backend.to_host(array), [1, 1])


def test_unaligned_bytes_are_copied_to_where_they_may_be_computed_with() -> None:
    shifted = np.frombuffer(bytearray(9), np.uint8)[1:].view(np.float64)
    assert not shifted.flags.aligned
    assert open_backend("cpu").from_host(shifted).flags.aligned


def test_the_cpu_takes_memory_over_and_a_device_copies_it() -> None:
    host = np.zeros(3)
    cpu, strict = open_backend("cpu").from_host(host), open_backend("strict").from_host(host)
    host[0] = 7
    assert cpu[0] == 7
    assert strict[0].item() == 0


def test_what_a_device_gave_out_is_not_its_memory() -> None:
    strict = open_backend("strict")
    array = strict.from_host(np.zeros(3))
    strict.to_host(array)[0] = 7
    assert array[0].item() == 0


@pytest.mark.parametrize(
    "host",
    [np.array([None]), np.array(["a"]), np.array([1.0], ">f4"), np.array([0], "M8[s]"), np.array([1], np.longdouble)],
    ids=lambda host: host.dtype.str,
)
def test_dtypes_that_devices_lack_are_refused(backend: Backend, host: Any) -> None:
    with pytest.raises(TypeError, match="from_host needs numbers or bools in this machine's byte order; got dtype"):
        backend.from_host(host)


def test_from_host_takes_numpy_arrays_only(backend: Backend) -> None:
    with pytest.raises(TypeError, match="from_host needs a numpy array; got list"):
        backend.from_host([1, 2])  # type: ignore[arg-type]


# --- views


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((2, 3), (48, 8), 0),
        ((3, 2), (8, 48), 16),
        ((4,), (-8,), 184),
        ((5, 2), (0, 8), 8),
        ((), (), 184),
        ((0, 9), (8, 800), 0),
        ((24,), (8,), 0),
    ],
)
def test_as_strided_is_numpys_with_an_offset(
    backend: Backend, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
) -> None:
    host = np.arange(24.0)
    view = backend.as_strided(backend.from_host(host.copy()), shape, strides, offset)
    assert (view.shape, view.strides) == (shape, strides)
    expected = np.lib.stride_tricks.as_strided(host[offset // 8 :], shape, strides)
    np.testing.assert_array_equal(backend.to_host(view), expected)


def test_as_strided_shares_memory(backend: Backend) -> None:
    array = backend.from_host(np.zeros((2, 3)))
    backend.as_strided(array, (2,), (24,), 8)[...] = 5
    np.testing.assert_array_equal(backend.to_host(array), [[0, 5, 0], [0, 5, 0]])


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [((7,), (8,), 0), ((6,), (8,), 8), ((2,), (-8,), 0), ((2,), (48,), 0), ((1,), (8,), -8), ((0,), (8,), 56)],
)
def test_as_strided_never_leaves_the_memory(
    backend: Backend, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
) -> None:
    with pytest.raises(ValueError, match=r"buffer|inside of its 48 bytes"):
        backend.as_strided(backend.from_host(np.zeros(6)), shape, strides, offset)


def test_as_strided_needs_the_whole_storage(backend: Backend) -> None:
    with pytest.raises(ValueError, match="contiguous"):
        backend.as_strided(backend.from_host(np.zeros((4, 4))).T, (2,), (8,))


# --- the rest


def test_empty_has_shape_and_dtype(backend: Backend) -> None:
    array = backend.empty([2, 3], np.dtype(np.int16))
    assert type(array) is backend.array_type
    assert (array.shape, array.dtype) == ((2, 3), np.int16)


def test_an_active_thread_gets_inf_and_nan_without_warnings(backend: Backend) -> None:
    zeros = backend.from_host(np.zeros(2))
    with backend.active():
        result = zeros / zeros + backend.xp.log(zeros)
    assert np.isnan(backend.to_host(result)).all()
    backend.synchronize()


def test_the_fingerprint_names_numpy_blas_and_the_machine(backend: Backend) -> None:
    fingerprint = backend.fingerprint()
    assert f"numpy={np.__version__}" in fingerprint
    assert "blas=" in fingerprint
    assert "processor=" in fingerprint
    assert fingerprint == backend.fingerprint()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="BLAS has one thread on one core, whatever it is told")
def test_the_fingerprint_tells_thread_counts_apart() -> None:
    code = "from gradwire_server.backend import open_backend; print(open_backend('cpu').fingerprint())"
    one, two = (run_python(code, OPENBLAS_NUM_THREADS=count, OMP_NUM_THREADS=count) for count in "12")
    assert one == run_python(code, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    assert one != two


# --- CUDA, as far as there is none


class _DriverError(RuntimeError):
    """Stands in for CuPy's CUDARuntimeError."""


def cupy_with(devices: int | Exception) -> Any:
    """Return a package that answers for its devices as CuPy does."""

    def count() -> int:
        if isinstance(devices, Exception):
            raise devices
        return devices

    runtime = SimpleNamespace(getDeviceCount=count, CUDARuntimeError=_DriverError)
    return SimpleNamespace(cuda=SimpleNamespace(runtime=runtime), ndarray=np.ndarray)


def test_cuda_without_cupy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(RuntimeError, match=r"cuda:1 needs CuPy on the worker; got .*gradwire\[cuda12\]"):
        open_backend("cuda:1")


def test_cuda_without_a_driver_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", cupy_with(_DriverError("cudaErrorInsufficientDriver")))
    with pytest.raises(
        RuntimeError, match=r"Found no NVIDIA driver .*cuda:0 needs one.*InsufficientDriver.*nvidia-smi"
    ):
        open_backend("cuda")


def test_cuda_beyond_the_last_device_says_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", cupy_with(2))
    with pytest.raises(RuntimeError, match=r"invalid device ordinal: cuda:2 needs 3 GPUs on the worker; got 2; use"):
        open_backend("cuda:2")
    assert open_backend("cuda:1").device == "cuda:1"


@pytest.mark.parity
def test_the_installed_cupy_is_refused_without_a_gpu() -> None:
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    if cupy.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(RuntimeError, match="Found no NVIDIA driver"):
        open_backend("cuda:0")


@pytest.mark.parity
def test_cupy_views_are_made_and_bounded() -> None:
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    from tests.server.cupy_surface import array_without_gpu

    backend = CudaBackend("cuda", "cuda:0", cupy, cupy.ndarray, 0)
    array = array_without_gpu(np.zeros(24))
    view = backend.as_strided(array, [3, 2], [8, 48], 16)
    assert (view.shape, view.strides, view.data.ptr - array.data.ptr) == ((3, 2), (8, 48), 16)
    with pytest.raises(ValueError, match="inside of its 192 bytes"):
        backend.as_strided(array, (25,), (8,))


@pytest.mark.gpu
def test_a_gpu_keeps_values_views_and_order(gpu: Backend) -> None:
    host = np.arange(24.0).reshape(4, 6)
    array = gpu.from_host(host)
    host += 1
    np.testing.assert_array_equal(gpu.to_host(array.T), (host - 1).T)
    gpu.as_strided(array, (4,), (48,), 8)[...] = -1
    gpu.synchronize()
    np.testing.assert_array_equal(gpu.to_host(array)[:, 1], [-1] * 4)
    assert gpu.empty((2, 3), np.dtype(np.int16)).dtype == np.int16


@pytest.mark.gpu
def test_a_gpu_has_a_fingerprint(gpu: Backend) -> None:
    assert "device=" in gpu.fingerprint()
    assert gpu.fingerprint() == gpu.fingerprint()
