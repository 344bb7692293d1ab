"""Generated CUDA kernels: NVRTC takes them, and they compute what the steps of a fusion compute one by one."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire import session as sessions
from gradwire_protocol.ops import OPS
from gradwire_server.programs import plan
from gradwire_server.programs.cuda.expressions import EXPRESSIONS, HELPERS
from gradwire_server.programs.cuda.source import NAME, OPTIONS, is_writable, kernel_source
from gradwire_server.programs.executable import Executable
from gradwire_server.programs.fusion import Fusion
from tests.ops.samples import SAMPLES
from tests.server.fusions import sampled_fusions
from tests.server.host_kernels import HostRunner, compile_on_host, compiler
from tests.support import open_loopback

needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C++ compiler on this machine")

# A few units in the last place: the machine's C library is not numpy's.
_RTOL = {np.dtype("f4"): 2e-6, np.dtype("f8"): 1e-14}


def test_every_expression_is_of_an_op_with_samples() -> None:
    assert [name for name in EXPRESSIONS if name not in OPS or not OPS[name].is_pointwise] == []
    assert [name for name in EXPRESSIONS if name not in SAMPLES] == []


def _calls(name: str, dtype: str) -> Iterator[tuple[str, Fusion, list[Any], Any]]:
    return (item for item in sampled_fusions(name, dtype) if is_writable(item[1].steps[0]))


@needs_compiler
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_expressions_compute_what_kernels_do(dtype: str, tmp_path: Path) -> None:
    found = [(name, *item) for name in EXPRESSIONS for item in _calls(name, dtype)]
    assert {name for name, *_ in found} == set(EXPRESSIONS)
    kernels = compile_on_host([kernel_source(fusion) for _, _, fusion, _, _ in found], tmp_path)
    for kernel, (_, what, fusion, arrays, expected) in zip(kernels, found, strict=True):
        result = np.empty_like(expected)
        sizes = (ctypes.c_longlong(expected.size), ctypes.c_longlong(fusion.layout.columns))
        kernel(*sizes, *(ctypes.c_void_p(array.ctypes.data) for array in (*arrays, result)))
        rtol = _RTOL.get(expected.dtype, 0)
        np.testing.assert_allclose(result, expected, rtol=rtol, atol=rtol, err_msg=what)


@pytest.mark.parity
@pytest.mark.parametrize("architecture", ["75", "90", "100"])
def test_nvrtc_takes_the_kernels(architecture: str) -> None:
    nvrtc = pytest.importorskip("cupy_backends.cuda.libs.nvrtc", reason="CuPy is not installed")
    fusions = [next(_calls(name, dtype))[1] for name in EXPRESSIONS for dtype in ("f4", "f8")]
    text = [kernel_source(fusion).removeprefix(HELPERS) for fusion in fusions]
    source = HELPERS + "".join(one.replace(f"void {NAME}(", f"void {NAME}_{n}(") for n, one in enumerate(text))
    program = nvrtc.createProgram(source, "kernels.cu", (), ())
    try:
        nvrtc.compileProgram(program, (f"-arch=sm_{architecture}", *OPTIONS))
    except Exception:
        pytest.fail(nvrtc.getProgramLog(program))
    assert f"{NAME}_{len(fusions) - 1}".encode() in nvrtc.getCUBIN(program)


def _activations(x: Any, bias: Any, scale: Any) -> Any:
    y = gw.nn.functional.gelu(x + bias) * scale.sigmoid()
    z = gw.where(y > 0.1, y.tanh(), y * 0.5 - 1).clamp(-0.9, 0.9)
    return y, (z - z.mean(1, keepdim=True)).exp() / 3


def _gradients(x: Any, bias: Any, scale: Any) -> Any:
    x = x.detach().requires_grad_()
    loss = sum(result.square().sum() for result in _activations(x, bias, scale))
    return gw.autograd.grad(loss, [x])[0]


@needs_compiler
@pytest.mark.parametrize("function", [_activations, _gradients])
def test_fusions_of_a_program_give_what_calls_give(
    function: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Fusion] = []

    def in_kernels(self: Executable, fusion: Fusion) -> HostRunner:
        made.append(fusion)
        return HostRunner(fusion, tmp_path)

    fits = plan._is_fusible
    monkeypatch.setattr(plan, "LEAST", 1)
    monkeypatch.setattr(
        plan, "_is_fusible", lambda step, told, backend: fits(step, told, backend) and is_writable(step)
    )
    monkeypatch.setattr(Executable, "_in_blocks", in_kernels)
    previous = sessions._current
    try:
        sessions.use(open_loopback()[0])
        gw.manual_seed(3)
        given = gw.randn(5, 7), gw.randn(7), gw.randn(5, 1)
        compiled = gw.compile(function)
        results = [compiled(*given) for _ in range(4)]
        assert compiled.replays >= 2
        for result in results[2:]:
            for one, other in zip(_flat(result), _flat(function(*given)), strict=True):
                np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)
    finally:
        sessions._current = previous
    assert sum(len(fusion.steps) for fusion in made) >= 8


def _flat(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]
