"""Run one `op_db` entry stage by stage: forward by dtype, grad, gradgrad, in-place and method forms, refusals.

Every check compares with PyTorch on the same sample. A stage stops at its first failure, whose reason is kept.
"""

from __future__ import annotations

import functools
import itertools
import operator
import re
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.testing._internal.opinfo.core import OpInfo, SampleInput

import gradwire as gw
from tests.opdb.convert import differentiable, flat, host, rebound, theirs_host, to_gradwire

__all__ = ["DTYPES", "STAGES", "Report", "full_name", "run"]

DTYPES = ("float32", "float64", "int64", "bool", "int8", "int16", "int32", "uint8")
STAGES = ("forward", "grad", "gradgrad", "inplace", "method", "errors")

# Entries whose values come from a generator: shapes and dtypes are compared, values are not.
_RANDOM = re.compile(
    r"^(rand|bernoulli|normal|multinomial|cauchy|exponential|geometric|log_normal|uniform|empty|new_empty|"
    r"nn\.functional\.(dropout|alpha_dropout|feature_alpha|rrelu|fractional_max)|svd_lowrank|pca_lowrank|resize_)"
)
# Functions of a whole matrix, whose error is one of the matrix: a small element of a large one has no digits of its own.
_NORMWISE = frozenset(("matrix_exp",))
_TOLERANCE = {
    "float16": 2e-3,
    "bfloat16": 2e-2,
    "float32": 2e-5,
    "float64": 1e-8,
    "complex64": 2e-5,
    "complex128": 1e-8,
}

# Where PyTorch is further from the true value than we are: its single-precision formulas of Bessel functions.
_LOOSE = {f"special.bessel_{name}": 1e3 for name in ("j0", "j1", "y0", "y1")}


@dataclass(slots=True)
class Report:
    """What became of an entry: per stage the number of samples that agreed, and the first reason why one did not."""

    name: str
    passed: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Return whether all that counts agreed: every stage but the words of refusals."""
        return not self.failed and bool(self.passed)


def full_name(op: OpInfo) -> str:
    """Return an entry's name with its variant."""
    return f"{op.name}.{op.variant_test_name}" if op.variant_test_name else op.name


def ours(op: OpInfo) -> Callable[..., Any]:
    """Return gradwire's callable of an entry; raise AttributeError for one that we lack."""
    inner = getattr(op.op, "__wrapped__", op.op)
    if (
        getattr(inner, "__module__", "")
        and str(inner.__module__).startswith("torch.testing")
        and hasattr(inner, "__code__")
    ):
        return rebound(inner)
    found: Any = gw
    if op.name.startswith("torch.ops.aten."):
        return _by_method(op.name.split(".")[3])
    try:
        for part in op.name.split("."):
            found = getattr(found, part)
    except AttributeError:
        if hasattr(gw.Tensor, op.name):
            return _by_method(op.name)
        raise
    return found if callable(found) else _by_method(op.name)


def _by_method(name: str) -> Callable[..., Any]:
    def call(input: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(input, name)(*args, **kwargs)

    return call


def run(
    op: OpInfo, limit: int | None = None, stages: tuple[str, ...] = STAGES, dtypes: tuple[str, ...] = DTYPES
) -> Report:
    """Run an entry's samples, `limit` of them per dtype and stage."""
    report = Report(full_name(op))
    try:
        function = ours(op)
    except AttributeError as error:
        report.failed["forward"] = f"missing: {error}"
        return report
    supported = {str(dtype).removeprefix("torch.") for dtype in op.supported_dtypes("cpu")}
    if not supported & set(dtypes):
        dtypes = ("complex64", "complex128")
    for stage in stages:
        if stage == "forward":
            for dtype in dtypes:
                if dtype in supported:
                    _stage(report, f"forward {dtype}", _forward(op, function, op.op, dtype, limit))
            continue
        _stage(report, stage, _PLANS[stage](op, function, "float64" if "float64" in supported else None, limit))
    return report


def _stage(report: Report, name: str, checks: Iterator[None]) -> None:
    count = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in checks:
                count += 1
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = re.sub(r"\s+", " ", str(error)).strip()[:300]
        report.failed[name] = f"sample {count}: {type(error).__name__}: {text} ({where.name}:{where.lineno})"
    if count:
        report.passed[name] = count


def _samples(op: OpInfo, dtype: str, requires_grad: bool, limit: int | None) -> Iterator[SampleInput]:
    torch.manual_seed(0)
    np.random.seed(0)
    return itertools.islice(op.sample_inputs("cpu", getattr(torch, dtype), requires_grad=requires_grad), limit)


def _call(function: Callable[..., Any], sample: Any) -> Any:
    return function(sample[0], *sample[1], **sample[2])


def _parts(sample: SampleInput) -> tuple[Any, Any, Any]:
    return sample.input, sample.args, sample.kwargs


def _tensors(value: Any) -> list[torch.Tensor]:
    return list(flat(value, torch.Tensor))


def _same(found: Any, wanted: Any, name: str, values: bool = True, loose: float = 1.0) -> None:
    """Compare results leaf by leaf: numbers and tensors, shape, dtype, values."""
    if isinstance(wanted, list | tuple) and not isinstance(wanted, torch.Size):
        assert isinstance(found, list | tuple), f"a sequence is needed; got {type(found).__name__}"
        assert len(found) == len(wanted), f"{len(wanted)} results are needed; got {len(found)}"
        for one, other in zip(found, wanted, strict=True):
            _same(one, other, name, values, loose)
        return
    if not isinstance(wanted, torch.Tensor):
        assert _plain(found) == _plain(wanted) or _close(found, wanted), f"{wanted!r} is needed; got {found!r}"
        return
    assert isinstance(found, gw.Tensor), f"a Tensor is needed; got {type(found).__name__}"
    dtype = str(wanted.dtype).removeprefix("torch.")
    assert found.dtype.name == dtype, f"dtype {dtype} is needed; got {found.dtype.name}"
    assert tuple(found.shape) == tuple(wanted.shape), f"shape {tuple(wanted.shape)} is needed; got {tuple(found.shape)}"
    if values:
        tolerance = loose * _TOLERANCE.get(dtype, 0)
        size = float(wanted.abs().max()) if name in _NORMWISE and wanted.numel() else 1.0
        np.testing.assert_allclose(
            host(found), theirs_host(wanted), rtol=tolerance * 5, atol=tolerance * max(size, 1.0)
        )


def _plain(value: Any) -> Any:
    return str(value).rpartition(".")[2] if isinstance(value, torch.dtype) or type(value).__name__ == "DType" else value


def _close(found: Any, wanted: Any) -> bool:
    return isinstance(wanted, float) and bool(np.isclose(found, wanted, rtol=1e-5, equal_nan=True))


def _transformed(op: OpInfo, sample: SampleInput, result: Any, mine: bool) -> Any:
    """Apply the entry's own normalization of results (signs of eigenvectors, the reduced part of a tuple)."""
    process = sample.output_process_fn_grad
    if process is None:
        return result
    return (rebound(process) if mine and hasattr(process, "__code__") else process)(result)


def _is_random(op: OpInfo, sample: SampleInput) -> bool:
    if op.name == "nn.functional.multi_head_attention_forward" and sample.args[9]:
        return True
    return _RANDOM.match(op.name) is not None or bool(
        sample.kwargs.get("dropout_p", 0) and sample.kwargs.get("training", True)
    )


# Where equal elements may come in any order, with the position of `dim` among the arguments after the input.
_TIES = {"sort": 0, "argsort": 0, "topk": 1, "kthvalue": 1, "mode": 0}


def _with_indices_settled(op: OpInfo, sample: SampleInput, found: Any, wanted: Any) -> Any:
    """Return our results with indices that name an equal element replaced by PyTorch's."""
    if op.name not in _TIES or sample.input.dim() == 0 or sample.kwargs.get("stable"):
        return found
    numbers = [value for value in sample.args if isinstance(value, int) and not isinstance(value, bool)]
    dim = sample.kwargs.get("dim", numbers[_TIES[op.name]] if len(numbers) > _TIES[op.name] else -1)
    values = theirs_host(sample.input)

    def picked(index: np.ndarray[Any, Any]) -> Any:
        aligned = index if index.ndim == values.ndim else np.expand_dims(index, dim)
        return np.take_along_axis(values, aligned, dim)

    ours_at, theirs_at = (found, wanted) if op.name == "argsort" else (found[1], wanted[1])
    equal = ours_at.shape == theirs_at.shape and np.array_equal(
        picked(host(ours_at)), picked(theirs_host(theirs_at)), equal_nan=values.dtype.kind == "f"
    )
    if not equal:
        return found
    settled = gw.tensor(theirs_host(theirs_at))
    return settled if op.name == "argsort" else [found[0], settled]


def _forward(op: OpInfo, function: Any, reference: Any, dtype: str, limit: int | None) -> Iterator[None]:
    for sample in _samples(op, dtype, False, limit):
        mine = to_gradwire(_parts(sample))
        wanted = _transformed(op, sample, _call(reference, _parts(sample)), False)
        found = _with_indices_settled(op, sample, _transformed(op, sample, _call(function, mine), True), wanted)
        _same(found, wanted, op.name, not _is_random(op, sample), _LOOSE.get(op.name, 1.0))
        yield


def _cotangents(outputs: list[Any]) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(3)
    made = []
    for output in outputs:
        values = rng.standard_normal(tuple(output.shape))
        if output.dtype in (torch.complex64, torch.complex128):
            values = values + 1j * rng.standard_normal(tuple(output.shape))
        made.append(np.asarray(values).astype(theirs_host(output.new_zeros(())).dtype))
    return made


def _gradients(op: OpInfo, function: Any, dtype: str | None, limit: int | None, order: int) -> Iterator[None]:
    if dtype is None or not op.supports_autograd or _RANDOM.match(op.name) or (order == 2 and not op.supports_gradgrad):
        return
    for sample in _samples(op, dtype, True, limit):
        if _is_random(op, sample):
            continue
        parts = _parts(sample)
        mine = to_gradwire(parts)
        leaves, wanted_leaves = differentiable(mine, gw.Tensor), differentiable(parts, torch.Tensor)
        wanted = [o for o in _tensors(_transformed(op, sample, _call(op.op, parts), False)) if o.requires_grad]
        if not wanted or not wanted_leaves:
            continue
        found = list(flat(_transformed(op, sample, _call(function, mine), True), gw.Tensor))
        found = [output for output in found if output.requires_grad]
        assert len(found) == len(wanted), f"{len(wanted)} differentiable results are needed; got {len(found)}"
        if _descend(found, leaves, wanted, wanted_leaves, order, op.name):
            yield


def _descend(found: Any, leaves: Any, wanted: Any, wanted_leaves: Any, order: int, name: str) -> bool:
    """Compare gradients, and with order 2 the gradients of those; return False where PyTorch has none to compare with."""
    seeds = _cotangents(wanted)
    try:
        theirs = torch.autograd.grad(
            wanted, wanted_leaves, [torch.from_numpy(seed) for seed in seeds], create_graph=order > 1, allow_unused=True
        )
    except RuntimeError:
        return False
    gradients = gw.autograd.grad(
        found, leaves, [gw.tensor(seed) for seed in seeds], create_graph=order > 1, allow_unused=True
    )
    for one, other in zip(gradients, theirs, strict=True):
        if other is None:
            assert one is None or not host(one).any(), "no gradient is needed; got one"
        elif one is None:
            assert not theirs_host(other).any(), "a gradient is needed; got None"
        else:
            _same(one, other, name, loose=10.0 * _LOOSE.get(name, 1.0))
    return order == 1 or _again(gradients, theirs, leaves, wanted_leaves, name)


def _again(gradients: Any, theirs: Any, leaves: Any, wanted_leaves: Any, name: str) -> bool:
    pairs = [(a, b) for a, b in zip(gradients, theirs, strict=True) if b is not None and b.requires_grad]
    ours_too = [(a, b) for a, b in pairs if a is not None and a.requires_grad]
    if len(ours_too) != len(pairs):
        asked = [b for _, b in pairs]
        found = torch.autograd.grad(asked, wanted_leaves, [b.new_ones(b.shape) for b in asked], allow_unused=True)
        assert all(g is None or not theirs_host(g).any() for g in found), "a differentiable gradient is needed"
        return True
    return not pairs or _descend([a for a, _ in pairs], leaves, [b for _, b in pairs], wanted_leaves, 1, name)


def _grad(op: OpInfo, function: Any, dtype: str | None, limit: int | None) -> Iterator[None]:
    return _gradients(op, function, dtype, limit, 1)


def _gradgrad(op: OpInfo, function: Any, dtype: str | None, limit: int | None) -> Iterator[None]:
    return _gradients(op, function, dtype, limit, 2)


def _inplace_form(op: OpInfo, variant: Any, function: Any) -> Callable[..., Any]:
    """Return gradwire's in-place form: a method, or a function that is told to work in place."""
    if isinstance(variant, functools.partial):
        return functools.partial(function, **variant.keywords)
    name = getattr(variant, "__name__", f"{op.name}_")
    if name == "<lambda>":
        return rebound(variant)
    name = {"iadd": "__iadd__"}.get(name, name)
    if isinstance(variant, type(operator.iadd)) and not hasattr(gw.Tensor, name):
        name = f"__{name}__"
    return getattr(gw.Tensor, name)  # type: ignore[no-any-return]


def _inplace(op: OpInfo, function: Any, dtype: str | None, limit: int | None) -> Iterator[None]:
    variant = op.get_inplace()
    if variant is None or dtype is None:
        return
    form = _inplace_form(op, variant, function)
    for sample in _samples(op, dtype, False, limit):
        if getattr(sample, "broadcasts_input", False):
            continue
        parts = _parts(sample)
        mine = to_gradwire(parts)
        try:
            wanted = _call(variant, (parts[0].clone(), *parts[1:]))
        except Exception as error:
            wanted = error
        if isinstance(wanted, Exception):
            continue
        found = _call(form, (_copied(mine[0]), *mine[1:]))
        _same(found, wanted, op.name, not _is_random(op, sample), _LOOSE.get(op.name, 1.0))
        yield


def _copied(value: Any) -> Any:
    """Return a copy of a part of a memory, in memory of its own, as PyTorch's side of the comparison has."""
    return value.clone() if isinstance(value, gw.Tensor) and value.base is not None else value


def _method(op: OpInfo, function: Any, dtype: str | None, limit: int | None) -> Iterator[None]:
    method = op.get_method()
    if method is None or dtype is None or not hasattr(method, "__name__"):
        return
    for sample in _samples(op, dtype, False, limit):
        parts = _parts(sample)
        wanted = _transformed(op, sample, _call(method, parts), False)
        form = rebound(method) if method.__name__ == "<lambda>" else getattr(gw.Tensor, method.__name__)
        found = _transformed(op, sample, _call(form, to_gradwire(parts)), True)
        found = _with_indices_settled(op, sample, found, wanted)
        _same(found, wanted, op.name, not _is_random(op, sample), _LOOSE.get(op.name, 1.0))
        yield


def _errors(op: OpInfo, function: Any, dtype: str | None, limit: int | None) -> Iterator[None]:
    if op.error_inputs_func is None:
        return
    torch.manual_seed(0)
    for item in itertools.islice(op.error_inputs("cpu"), limit):
        parts = _parts(item.sample_input)
        if any(t.device.type != "cpu" for t in _tensors(parts)) or "out" in parts[2]:
            continue
        try:
            _call(op.op, parts)
        except Exception as error:
            if "descriptor" in str(error):  # the sample's own call is wrong for what it means to test
                continue
            theirs: Exception = error
        else:
            continue
        if any(t.dim() > 64 for t in _tensors(parts)):
            continue  # numpy has no such arrays, and so no worker
        try:
            result = _call(function, to_gradwire(parts))
            for tensor in flat(result, gw.Tensor):
                host(tensor)
        except Exception as error:
            assert isinstance(error, type(theirs)) or isinstance(theirs, type(error)), (
                f"{type(theirs).__name__} ({str(theirs)[:120]}) is needed; got {type(error).__name__}: {str(error)[:120]}"
            )
        else:
            raise AssertionError(f"{type(theirs).__name__} ({str(theirs)[:160]}) is needed; nothing was raised")
        yield


_PLANS: dict[str, Callable[..., Iterator[None]]] = {
    "grad": _grad, "gradgrad": _gradgrad, "inplace": _inplace, "method": _method, "errors": _errors,
}  # fmt: skip
