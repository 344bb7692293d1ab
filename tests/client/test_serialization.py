"""Safetensors files: round trips, the format to the byte, and saves that fail."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from gradwire.safetensors import CheckpointError, read_safetensors, write_safetensors
from tests.client.safetensors_bytes import RECORDED, RECORDED_ARRAYS

DTYPES = ["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "c8"]


def assert_same(read: dict[str, np.ndarray], written: dict[str, np.ndarray]) -> None:
    assert list(read) == list(written)
    for name, array in written.items():
        assert read[name].dtype == array.dtype.newbyteorder("=")
        assert read[name].shape == array.shape
        assert read[name].tobytes() == array.astype(read[name].dtype).tobytes()


# ---------------------------------------------------------------- round trips
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 3), (2, 3), (2, 1, 4)])
def test_every_dtype_and_shape_comes_back(tmp_path, dtype, shape):
    rng = np.random.default_rng(0)
    values = np.asarray(rng.integers(0, 2, shape) if dtype == "?" else rng.random(shape) * 100)
    written = {"x": values.astype(dtype)}
    write_safetensors(tmp_path / "a", written)
    read, metadata = read_safetensors(tmp_path / "a")
    assert_same(read, written)
    assert metadata == {}


def test_strided_reversed_fortran_broadcast_and_big_endian_arrays_come_back(tmp_path):
    base = np.arange(24.0).reshape(4, 6)
    written = {
        "transposed": base.T,
        "strided": base[::2, 1::2],
        "reversed": base[::-1, ::-1],
        "fortran": np.asfortranarray(base),
        "broadcast": np.broadcast_to(np.float32(3), (2, 5)),
        "big endian": base.astype(">f8"),
        "big endian scalar": np.array(258, ">i2"),
    }
    write_safetensors(tmp_path / "a", written)
    assert_same(read_safetensors(tmp_path / "a")[0], written)


def test_special_values_keep_their_bits(tmp_path):
    bits = np.array([0x7FC00001, 0xFF800000, 0x80000000, 1], np.uint32)
    write_safetensors(tmp_path / "a", {"x": bits.view(np.float32)})
    read = read_safetensors(tmp_path / "a")[0]["x"]
    assert read.view(np.uint32).tolist() == bits.tolist()


def test_names_keep_their_order_and_any_text(tmp_path):
    names = ["z", "a.weight", "", "päivä 🔥", 'quo"te\n']
    written = {name: np.full(i, i, np.float32) for i, name in enumerate(names)}
    metadata = {"format": "pt", "käy": "\u2028"}
    write_safetensors(tmp_path / "a", written, metadata)
    read, read_metadata = read_safetensors(tmp_path / "a")
    assert_same(read, written)
    assert read_metadata == metadata


def test_no_arrays_is_a_file_too(tmp_path):
    write_safetensors(tmp_path / "a", {})
    assert read_safetensors(str(tmp_path / "a")) == ({}, {})


def test_arrays_that_were_read_are_writable_and_apart(tmp_path):
    write_safetensors(tmp_path / "a", {"x": np.zeros(2), "y": np.zeros(2)})
    read, _ = read_safetensors(tmp_path / "a")
    read["x"][:] = 1
    assert read["y"].tolist() == [0, 0]


# ---------------------------------------------------------------- the format, to the byte
def test_reads_what_safetensors_writes(tmp_path):
    (tmp_path / "a").write_bytes(RECORDED)
    read, metadata = read_safetensors(tmp_path / "a")
    assert_same(read, RECORDED_ARRAYS)
    assert metadata == {"k": "v"}


def test_writes_what_safetensors_writes(tmp_path):
    write_safetensors(tmp_path / "a", RECORDED_ARRAYS, {"k": "v"})
    assert (tmp_path / "a").read_bytes() == RECORDED


def test_values_lie_aligned_to_their_width(tmp_path):
    arrays = {"b": np.ones(3, bool), "f": np.ones(3, np.float32), "d": np.ones(1, np.float64)}
    write_safetensors(tmp_path / "a", arrays)
    raw = (tmp_path / "a").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    assert length % 8 == 0
    for name, array in arrays.items():
        assert header[name]["data_offsets"][0] % array.itemsize == 0


# ---------------------------------------------------------------- what cannot be written
@pytest.mark.parametrize(
    ("arrays", "metadata", "error", "words"),
    [
        ({"x": np.array([object()])}, None, TypeError, "no dtype object, which 'x' has"),
        ({"x": np.ones(1, complex)}, None, TypeError, "no dtype complex128.*dimension of 2"),
        ({"x": np.array(["text"])}, None, TypeError, "no dtype <U4"),
        ({"x": [1.0]}, None, TypeError, "needs numpy arrays; 'x' is a list"),
        ({1: np.ones(1)}, None, TypeError, "needs strings.* as names; got 1"),
        ({"__metadata__": np.ones(1)}, None, TypeError, "other than '__metadata__'"),
        ({}, {"step": 1}, TypeError, "map of str to str; got {'step': 1}"),
        ({"\ud800": np.ones(1)}, None, ValueError, "surrogates"),
    ],
)
def test_what_the_format_cannot_hold_is_refused_before_the_file_is_touched(tmp_path, arrays, metadata, error, words):
    (tmp_path / "a").write_bytes(b"before")
    with pytest.raises(error, match=words):
        write_safetensors(tmp_path / "a", arrays, metadata)
    assert (tmp_path / "a").read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["a"]


# ---------------------------------------------------------------- saves that fail
@pytest.fixture(params=["nameless", "named"])
def way(request, monkeypatch):
    """Both ways to write aside: without a name until complete, and as a hidden file."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    elif not hasattr(os, "O_TMPFILE"):
        pytest.skip("this system has no nameless files")
    return request.param


@pytest.mark.usefixtures("way")
def test_a_save_replaces_the_file_and_leaves_nothing_else(tmp_path):
    for value in (1.0, 2.0):
        write_safetensors(tmp_path / "a", {"x": np.full(10, value)})
        assert read_safetensors(tmp_path / "a")[0]["x"][0] == value
        assert os.listdir(tmp_path) == ["a"]


@pytest.mark.usefixtures("way")
def test_permissions_are_those_of_a_plain_file_and_then_stay(tmp_path):
    path = tmp_path / "a"
    (tmp_path / "plain").touch()
    write_safetensors(path, {})
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
    path.chmod(0o600)
    write_safetensors(path, {})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.usefixtures("way")
def test_the_file_behind_a_symbolic_link_is_replaced(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "latest").symlink_to(tmp_path / "runs" / "a")
    write_safetensors(tmp_path / "latest", {"x": np.ones(1)})
    assert (tmp_path / "latest").is_symlink()
    assert list(read_safetensors(tmp_path / "runs" / "a")[0]) == ["x"]


def test_a_name_as_long_as_can_be_is_no_problem(tmp_path):
    write_safetensors(tmp_path / ("n" * 255), {})
    assert os.listdir(tmp_path) == ["n" * 255]


@pytest.mark.usefixtures("way")
def test_a_full_disk_leaves_the_old_file_and_says_what_was_needed(tmp_path, monkeypatch):
    write_safetensors(tmp_path / "a", {"x": np.ones(1)})
    before = (tmp_path / "a").read_bytes()
    real_write, calls = os.write, iter(range(100))

    def write(descriptor: int, values: memoryview) -> int:
        if next(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real_write(descriptor, values[:1000])

    monkeypatch.setattr(os, "write", write)
    words = (
        r"saving .*/a needs 8,\d+ bytes; got 'No space left on device' after [\d,]+ "
        r"with [\d,]+ left on that disk; what was there before is unchanged; free some space"
    )
    with pytest.raises(CheckpointError, match=words) as caught:
        write_safetensors(tmp_path / "a", {"x": np.ones(1000)})
    assert caught.value.errno == errno.ENOSPC
    assert (tmp_path / "a").read_bytes() == before
    assert os.listdir(tmp_path) == ["a"]


def test_no_directory_and_a_directory_in_the_way_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"No such file or directory.*make the directory"):
        write_safetensors(tmp_path / "missing" / "a", {})
    (tmp_path / "taken").mkdir()
    with pytest.raises(CheckpointError, match="Is a directory"):
        write_safetensors(tmp_path / "taken", {})
    assert os.listdir(tmp_path) == ["taken"]


def run_save(path: Path, preamble: str) -> subprocess.CompletedProcess[str]:
    """Save 8 MB to `path` in a process of its own, after `preamble`."""
    code = f"""
import os, resource, signal, sys
import numpy as np
from gradwire import safetensors as serialization
{preamble}
try:
    serialization.write_safetensors({str(path)!r}, {{"x": np.zeros(1_000_000)}})
except serialization.CheckpointError as error:
    sys.exit(f"CheckpointError: {{error}}")
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("preamble", ["", "vars(os).pop('O_TMPFILE', None)"])
def test_the_system_s_limit_on_file_size_leaves_the_old_file(tmp_path, preamble):
    write_safetensors(tmp_path / "a", {"x": np.ones(1)})
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))"
    done = run_save(tmp_path / "a", f"{preamble}\n{limit}")
    assert "CheckpointError: " in done.stderr
    assert "needs 8,000,080 bytes; got 'File too large' after 1,000,000 " in done.stderr
    assert "raise the limit on file sizes" in done.stderr
    assert read_safetensors(tmp_path / "a")[0]["x"].shape == (1,)
    assert os.listdir(tmp_path) == ["a"]


KILLED_IN_THE_MIDDLE = """
serialization._WRITE_BYTES = 1_000_000
real_write, calls = os.write, iter(range(100))
def write(*arguments):
    if next(calls) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return real_write(*arguments)
os.write = write
"""


def test_a_kill_in_the_middle_leaves_the_old_file_and_no_other(tmp_path):
    try:
        os.close(os.open(tmp_path, os.O_TMPFILE | os.O_WRONLY))
    except (AttributeError, OSError):
        pytest.skip("this system or file system has no nameless files")
    write_safetensors(tmp_path / "a", {"x": np.ones(1)})
    assert run_save(tmp_path / "a", KILLED_IN_THE_MIDDLE).returncode == -signal.SIGKILL
    assert read_safetensors(tmp_path / "a")[0]["x"].shape == (1,)
    assert os.listdir(tmp_path) == ["a"]


def test_saves_to_one_path_at_once_each_leave_a_whole_file(tmp_path):
    def save(value: float) -> None:
        for _ in range(10):
            write_safetensors(tmp_path / "a", {"x": np.full(10_000, value)})

    threads = [threading.Thread(target=save, args=(value,)) for value in (1.0, 2.0, 3.0)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if (tmp_path / "a").exists():
            assert len(set(read_safetensors(tmp_path / "a")[0]["x"].tolist())) == 1
    for thread in threads:
        thread.join()
    assert os.listdir(tmp_path) == ["a"]
