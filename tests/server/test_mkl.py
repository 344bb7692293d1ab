"""Products by MKL against numpy's: where it is used, where it steps aside, and that its bits are always the same."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import gradwire_server.ops  # noqa: F401  (fills KERNELS)
from gradwire_server import mkl, products
from gradwire_server.rules import KERNELS
from gradwire_server.strict import strict_xp

_CACHES = (mkl._installed, mkl.mkl_version, mkl._prepared)


def _is_installed() -> bool:
    try:
        return sys.platform == "linux" and bool(importlib.metadata.version("mkl"))
    except importlib.metadata.PackageNotFoundError:
        return False


installed = pytest.mark.skipif(not _is_installed(), reason="no MKL (pip install 'gradwire[mkl]', on x86-64 Linux)")


@pytest.fixture
def uses_mkl(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One BLAS thread and MKL not switched off, whatever this process was started with."""
    monkeypatch.setenv("MKL_NUM_THREADS", "1")
    monkeypatch.setenv("GRADWIRE_MKL", "1")
    for cached in _CACHES:
        cached.cache_clear()
    assert mkl.mkl_version()
    yield
    for cached in _CACHES:
        cached.cache_clear()


def _random(*shape: int, dtype: Any = np.float32, seed: int = 3) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def _at(array: np.ndarray[Any, Any], offset_bytes: int) -> np.ndarray[Any, Any]:
    """Copy an array to memory so many bytes behind the start of a cache line."""
    raw = np.empty(array.nbytes + 128, np.uint8)
    start = -raw.ctypes.data % 64 + offset_bytes
    found = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    found[...] = array
    return found


def _made(a: Any, b: Any, out: Any = None) -> Any:
    """Multiply by MKL; a product that it refuses fails the test."""
    made = mkl.product(a, b, out)
    assert made is not None
    return made


pytestmark = installed


# --- what it computes


@pytest.mark.usefixtures("uses_mkl")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("turned", ["", "a", "b", "ab"])
@pytest.mark.parametrize("batch", [(), (1,), (5,)])
def test_products_are_numpys(dtype: Any, turned: str, batch: tuple[int, ...]) -> None:
    a, b = _random(*batch, 33, 47, dtype=dtype), _random(*batch, 47, 29, dtype=dtype, seed=4)
    a = np.ascontiguousarray(a.swapaxes(-1, -2)).swapaxes(-1, -2) if "a" in turned else a
    b = np.ascontiguousarray(b.swapaxes(-1, -2)).swapaxes(-1, -2) if "b" in turned else b
    tolerance = 1e-4 if dtype == np.float32 else 1e-12
    made = _made(a, b)
    assert made.dtype == dtype
    np.testing.assert_allclose(made, np.matmul(a, b), rtol=0, atol=tolerance)
    wide = np.full((*batch, 33, 40), np.nan, dtype)
    into = wide[..., 3:32]
    assert _made(a, b, into) is into, "columns of a wider array"
    assert into.tobytes() == made.tobytes()
    assert np.isnan(wide[..., :3]).all()
    assert np.isnan(wide[..., 32:]).all()
    columns = np.concatenate([b, b], axis=-1)[..., 29:]
    np.testing.assert_allclose(_made(a, columns), made, rtol=0, atol=tolerance)


@pytest.mark.usefixtures("uses_mkl")
@pytest.mark.parametrize("batch", [(), (4,)])
@pytest.mark.parametrize("turned", [False, True])
def test_the_bits_do_not_depend_on_where_an_array_lies(batch: tuple[int, ...], turned: bool) -> None:
    a, b = _random(*batch, 61, 130), _random(*batch, *((70, 130) if turned else (130, 70)), seed=8)

    def multiplied(*offsets: int) -> bytes:
        first, second = _at(a, offsets[0]), _at(b, offsets[1])
        out = _at(np.zeros((*batch, 61, 70), np.float32), offsets[2])
        return _made(first, second.swapaxes(-1, -2) if turned else second, out).tobytes()

    expected = multiplied(0, 0, 0)
    for offset in range(0, 64, 4):
        for offsets in ((offset, 0, 0), (0, offset, 0), (0, 0, offset), (offset, 60 - offset, 4), (offset,) * 3):
            assert multiplied(*offsets) == expected, offsets
    assert _made(a.copy(), (b.swapaxes(-1, -2) if turned else b)).tobytes() == expected


@pytest.mark.usefixtures("uses_mkl")
def test_nan_and_inf_go_through_and_what_out_held_does_not() -> None:
    a, b = _random(40, 50), _random(50, 60, seed=4)
    a[3, 7], a[5, 2], b[9, 11] = np.nan, np.inf, -np.inf
    with np.errstate(all="ignore"):
        expected = np.matmul(a, b)
    made = _made(a, b, np.full((40, 60), np.nan, np.float32))
    assert (np.isnan(made) == np.isnan(expected)).all()
    assert (np.isinf(made) == np.isinf(expected)).all()
    assert np.isnan(made[3]).all()


@pytest.mark.usefixtures("uses_mkl")
def test_threads_multiply_at_once() -> None:
    a, b = _random(128, 256), _random(256, 128, seed=4)
    expected, found = _made(a, b).tobytes(), []

    def multiply() -> None:
        found.extend(_made(a, b).tobytes() for _ in range(20))

    threads = [threading.Thread(target=multiply) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 80


# --- what is left to numpy


@pytest.mark.usefixtures("uses_mkl")
def test_what_does_not_fit_is_left_to_numpy() -> None:
    a, b = _random(30, 40), _random(40, 50, seed=4)
    read_only = np.zeros((30, 50), np.float32)
    read_only.flags.writeable = False
    broadcast, unaligned = np.broadcast_to(_random(40), (30, 40)), _at(_random(30, 40), 2)
    refused = {
        "integers": (a.astype(int), b.astype(int), None),
        "two dtypes": (a, b.astype(float), None),
        "every other column": (_random(30, 80)[:, ::2], b, None),
        "rows in reverse": (a[::-1], b, None),
        "one row for all": (broadcast, b, None),
        "between elements": (unaligned, b, None),
        "one row": (a[:1], b, None),
        "one column": (a, b[:, :1], None),
        "no inner elements": (a[:, :0], b[:0], None),
        "no rows": (a[:0], b, None),
        "a vector": (a, b[:, 0], None),
        "other sizes": (a, a, None),
        "batches of tiny ones": (_random(9, 4, 4), _random(9, 4, 4), None),
        "one matrix for many": (_random(3, 40, 40), _random(40, 40), None),
        "a result of another dtype": (a, b, np.zeros((30, 50))),
        "a result of another shape": (a, b, np.zeros((30, 51), np.float32)),
        "a read-only result": (a, b, read_only),
    }
    for what, (first, second, out) in refused.items():
        assert mkl.product(first, second, out) is None, what
    assert mkl.product(a, b, None) is not None


@pytest.mark.usefixtures("uses_mkl")
def test_a_result_anywhere_has_the_same_bits() -> None:
    a, b = _random(64, 64), _random(64, 64, seed=4)
    expected = _made(a, b).tobytes()
    same, shared = a.copy(), np.concatenate([a, a])
    every_other = np.zeros((64, 128), np.float32)[:, ::2]
    for first, out in (
        (a, np.zeros((64, 64), np.float32).T), (a, every_other), (same, same), (shared[:64], shared[32:96]),
        (a, _at(np.zeros((64, 64), np.float32), 2)),
    ):  # fmt: skip
        assert _made(first, b, out) is out
        assert out.tobytes() == expected


def test_extents_beyond_32_bits_are_refused() -> None:
    huge = 2**31
    assert mkl._planned(4, (2, huge), (4 * huge, 4), (huge, 2), (8, 4), None) is None
    assert mkl._planned(4, (2, 9), (4 * huge, 4), (9, 2), (8, 4), None) is None, "a slice of that many columns"
    assert mkl._planned(4, (2, 9), (4 * huge - 4, 4), (9, 2), (8, 4), None) is not None


@pytest.mark.usefixtures("uses_mkl")
def test_large_products_of_numpy_alone_go_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, ...]] = []

    def watched(a: Any, b: Any, out: Any) -> Any:
        calls.append((*a.shape, b.shape[-1]))
        return mkl.product(a, b, out)

    monkeypatch.setattr(products, "product", watched)
    for rows in (127, 128):
        products.matmul(np, _random(rows, 128), _random(128, 64))
    assert calls == [(128, 128, 64)]
    strict = strict_xp.ones((128, 128))
    products.matmul(strict_xp, strict, strict)
    assert len(calls) == 1


@pytest.mark.usefixtures("uses_mkl")
def test_kernels_agree_with_and_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bias, a, b = _random(160), _random(128, 160, seed=2), _random(160, 160, seed=4)
    images, weight = _random(8, 16, 16, 16), _random(32, 16, 3, 3, seed=4)
    cases = [
        ("mm", (a, b)), ("mm", (a, b.T)), ("addmm", (bias, a, b.T, 1, 1)), ("addmm", (bias, a, b, 0.5, 2.0)),
        ("bmm", (_random(16, 64, 64), _random(16, 64, 64, seed=4))),
    ]  # fmt: skip
    for op, arguments in cases:
        by_mkl = KERNELS[op].function(np, *arguments)
        with monkeypatch.context() as without:
            without.setattr(products, "product", lambda a, b, out: None)
            by_numpy = KERNELS[op].function(np, *arguments)
        np.testing.assert_allclose(by_mkl, by_numpy, rtol=0, atol=2e-4, err_msg=op)
    from gradwire_server.ops.convolution import _windows, convolve

    windows = _windows((16, 16), (3, 3), (1, 1), (1, 1), (1, 1), (16, 16))
    by_mkl = convolve(np, images, weight, windows, 1)
    monkeypatch.setattr(products, "product", lambda a, b, out: None)
    np.testing.assert_allclose(by_mkl, convolve(np, images, weight, windows, 1), rtol=0, atol=2e-4)


# --- the switch


def _fingerprint(**environment: str) -> str:
    code = "from gradwire_server.backend import open_backend; print(open_backend('cpu').fingerprint())"
    given = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "GRADWIRE_MKL": "1", **environment}
    done = subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_fingerprint_says_whether_it_is_in_use() -> None:
    version = importlib.metadata.version("mkl")
    used, off = _fingerprint(), _fingerprint(GRADWIRE_MKL="0")
    assert f"mkl={version}" in used
    assert "mkl=none" in off
    assert used.replace(f"mkl={version}", "mkl=none") == off
    assert "mkl=none" in _fingerprint(MKL_NUM_THREADS="2"), "several threads are OpenBLAS's"
