"""Every op against PyTorch itself, by its ATen name: values, dtypes, gradients, refusals; and the promotion table."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradwire_protocol import infer
from gradwire_protocol.dtypes import DTYPES, DType, complex64, complex128, float16, float32
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops import OPS
from gradwire_protocol.signature import using_default
from tests.ops.samples import SAMPLES, Case, Refusal
from tests.ops.support import Function, call, cases, describe, engine_on, host, is_array, outputs_of, put, sampled

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity


def _theirs(name: str) -> Callable[..., Any] | None:
    """Return PyTorch's op of a name, or None where it has none."""
    if SAMPLES[name].torch is not None:
        return SAMPLES[name].torch
    if name.startswith("gw::") or not hasattr(torch.ops.aten, OPS[name].schema.name):
        return None
    packet = getattr(torch.ops.aten, OPS[name].schema.name)
    overload = OPS[name].schema.overload or "default"
    return getattr(packet, overload) if overload in packet.overloads() else None


def _to_torch(value: Any) -> Any:
    if is_array(value):
        array = np.asarray(value)
        if array.flags.c_contiguous or array.size == 0 or any(stride < 0 for stride in array.strides):
            return torch.from_numpy(np.array(array, order="C"))
        strides = [stride // array.itemsize for stride in array.strides]
        span = 1 + sum((size - 1) * stride for size, stride in zip(array.shape, strides, strict=True))
        flat = np.array(np.lib.stride_tricks.as_strided(array, (span,), (array.itemsize,)))
        return torch.from_numpy(flat).as_strided(array.shape, strides)
    if isinstance(value, DType):
        return getattr(torch, value.name)
    if isinstance(value, list):
        return [_to_torch(item) for item in value]
    return value


def _run(function: Callable[..., Any], case: Case) -> list[Any]:
    args = [_to_torch(value) for value in case.args]
    result = function(*args, **{key: _to_torch(value) for key, value in case.kwargs.items()})
    if result is None:
        return []
    return list(result) if isinstance(result, tuple | list) else [result]


@pytest.mark.parametrize("name", [name for name in sampled() if _theirs(name) is not None])
def test_values_and_dtypes(name: str) -> None:
    sample, op, function = SAMPLES[name], OPS[name], _theirs(name)
    assert function is not None
    for number, case in enumerate(cases(sample)):
        what = describe(op, number, case)
        engine = engine_on("cpu")
        args = [put(engine, value) for value in case.args]
        result = call(engine, op, args, {key: put(engine, value) for key, value in case.kwargs.items()})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = _run(function, case)
        for output, wanted in zip(outputs_of(op, args, result), expected, strict=False):
            assert output.dtype.numpy == wanted.detach().numpy().dtype, what
            np.testing.assert_allclose(
                host(output),
                wanted.detach().numpy(),
                rtol=max(sample.rtol, 1e-5),
                atol=max(sample.atol, 1e-6),
                err_msg=what,
            )


def _their_gradients(function: Callable[..., Any], mine: Function) -> list[Any] | None:
    """Return PyTorch's gradient of the same projection."""
    leaves = [torch.tensor(value).requires_grad_() for value in mine.values()]
    args = [[_to_torch(i) for i in a] if isinstance(a, list) else _to_torch(a) for a in mine.case.args]
    for (position, index), leaf in zip(mine.places, leaves, strict=True):
        entered = leaf.clone() if mine.op.writes else leaf
        if mine._at(mine.case.args, (position, index)).dtype.kind == "c":
            entered = torch.view_as_complex(entered)
        if index is None:
            args[position] = entered
        else:
            args[position][index] = entered
    result = function(*args, **{key: _to_torch(value) for key, value in mine.case.kwargs.items()})
    outputs = [args[0]] if mine.op.writes else list(result) if isinstance(result, tuple | list) else [result]
    rng, total = np.random.default_rng(7), None
    for output in outputs[: mine.outputs]:
        if output.is_complex():
            output = torch.view_as_real(output.resolve_conj())
        if output.dtype.is_floating_point:
            weights = rng.standard_normal(tuple(output.shape)).astype(output.detach().numpy().dtype)
            part = (output * torch.from_numpy(np.asarray(weights))).sum()
            total = part if total is None else total + part
    if total is None or not total.requires_grad:
        return None
    return list(torch.autograd.grad(total, leaves, allow_unused=True))


@pytest.mark.parametrize("name", [name for name in sampled() if OPS[name].differentiable and _theirs(name) is not None])
def test_gradients(name: str) -> None:
    sample, op, function = SAMPLES[name], OPS[name], _theirs(name)
    assert function is not None
    for number, case in enumerate(cases(sample)):
        mine = Function(op, case)
        if not mine.places or not case.torch_gradient:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = _their_gradients(function, mine)
        except RuntimeError as error:
            # Backward helpers that PyTorch's autograd does not differentiate (it decomposes them elsewhere).
            assert "derivative" in str(error) or "not implemented" in str(error), (
                f"{describe(op, number, case)}: {error}"
            )
            continue
        if expected is None:
            continue
        for found, wanted in zip(mine.gradient(mine.values()), expected, strict=True):
            reference = np.zeros(found.shape) if wanted is None else wanted.numpy()
            np.testing.assert_allclose(found, reference, rtol=1e-6, atol=1e-8, err_msg=describe(op, number, case))


def _words(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        pytest.param(name, refusal, id=f"{name}-{number}")
        for name in sampled()
        for number, refusal in enumerate(SAMPLES[name].refusals)
        if refusal.in_torch and _theirs(name) is not None
    ],
)
def test_refusals(name: str, refusal: Refusal) -> None:
    function = _theirs(name)
    assert function is not None
    with pytest.raises(refusal.error) as caught:
        _run(function, Case(refusal.args, refusal.kwargs))
    assert re.search(refusal.match, _words(str(caught.value))), caught.value


_COMPLEX = (complex64, complex128)
_KINDS = (bool, int, float, complex)


def _operand(dtype: DType | type, ndim: int) -> tuple[Any, Any]:
    """Return our stand-in for an operand, and PyTorch's operand."""
    if isinstance(dtype, type):
        return dtype, dtype(1)
    return Meta.of((1,) * ndim, dtype), torch.ones((1,) * ndim, dtype=getattr(torch, dtype.name))


def test_promotion_table() -> None:
    """Every pair of dtypes, as tensors with axes, 0-dim tensors and Python numbers."""
    operands = [*itertools.product(DTYPES, (0, 1)), *((kind, 0) for kind in _KINDS)]
    wrong = []
    for left, right in itertools.product(operands, operands):
        (ours, theirs), (our_other, their_other) = _operand(*left), _operand(*right)
        both_numbers = isinstance(left[0], type) and isinstance(right[0], type)
        # PyTorch's complex32 stands between these; numpy has none, so gradwire does not either.
        half_complex = float16 in (left[0], right[0]) and any(
            kind is complex or kind in _COMPLEX for kind in (left[0], right[0])
        )
        if both_numbers or half_complex:
            continue
        with using_default(float32):
            found = infer.result_type(ours, our_other)
        if f"torch.{found.name}" != str(torch.result_type(theirs, their_other)):
            wrong.append((left, right, found))
    assert not wrong
