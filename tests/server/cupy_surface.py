"""Asks CuPy itself whether it takes what kernels did to the strict namespace. Needs no GPU.

CuPy's functions are bound by their signatures, its methods and compiled functions by the first line
of their docstrings. For ufuncs CuPy's own choice of a loop is made, upon arrays that lie in host
memory and are never read, and its result's dtype compared with numpy's.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Iterable
from typing import Any

import cupy
import numpy as np
from cupy._core._scalar import CScalar

from gradwire_server.strict import Use

__all__ = ["array_without_gpu", "signature_of", "unbindable"]

_PYTHON_NUMBERS = {"~bool": True, "~int": 1, "~float": 1.0, "~complex": 1j}


def unbindable(uses: Iterable[Use]) -> list[str]:
    """Return a sentence for each use that CuPy refuses or answers with another dtype, sorted."""
    return sorted(filter(None, map(_complaint, uses)))


def _complaint(use: Use) -> str:
    try:
        found = functools.reduce(getattr, use.name.split("."), cupy)
    except AttributeError:
        return f"xp.{use.name} is not in CuPy"
    given = [None] * (use.positional + _is_method(use.name))
    try:
        signature_of(found).bind(*given, **dict.fromkeys(use.keywords))
    except TypeError as error:
        keywords = "".join(f", {name}=" for name in use.keywords)
        return f"xp.{use.name} with {use.positional} arguments{keywords}: {error}"
    return _loop_complaint(use, found) if use.operands else ""


def _is_method(name: str) -> bool:
    """Return whether the docstring has a `self` that the use does not count."""
    owner, dot, _ = name.partition(".")
    return bool(dot) and isinstance(getattr(cupy, owner), cupy.ufunc | type)


def signature_of(function: Any) -> inspect.Signature:
    """Return how a function or method of CuPy's is called; methods have their `self`."""
    if isinstance(function, cupy.ufunc):
        return _ufunc_signature(function)
    try:
        found = inspect.signature(function)
    except ValueError as error:
        documented = _documented(function)
        if documented is None:
            raise ValueError(f"{function!r} must show how it is called; it does not") from error
        return documented
    if any(each.kind is each.VAR_KEYWORD for each in found.parameters.values()):
        return _documented(function) or found  # einsum(*operands, **kwargs) says more in words
    return found


def _ufunc_signature(ufunc: Any) -> inspect.Signature:
    kinds = inspect.Parameter
    inputs = [kinds(f"x{index}", kinds.POSITIONAL_ONLY) for index in range(ufunc.nin)]
    outputs = [kinds(f"out{index}", kinds.POSITIONAL_ONLY, default=None) for index in range(ufunc.nout)]
    names = ("out", "dtype", "casting")
    keywords = [kinds(name, kinds.KEYWORD_ONLY, default=None) for name in names]
    return inspect.Signature([*inputs, *outputs, *keywords])


def _documented(function: Any) -> inspect.Signature | None:
    """Read a signature off a docstring: `_ndarray_base.sum(self, axis=None, ...) -> ...`."""
    found = re.match(r"[\w.]+\((.*)\)", (function.__doc__ or "").split("\n")[0])
    if found is None:
        return None
    parameters: list[inspect.Parameter] = []
    for text in re.split(r",\s*(?![^(]*\))", found[1]):
        _add_parameter(parameters, text)
    return inspect.Signature(parameters)


def _add_parameter(parameters: list[inspect.Parameter], text: str) -> None:
    """Add what one piece between commas says: `Type name=default`, `*names`, `**names` or `/`."""
    declared, _, default = text.partition("=")
    name = declared.replace("\\", "").split()[-1] if declared.strip() else ""
    if name == "/":
        parameters[:] = [each.replace(kind=each.POSITIONAL_ONLY) for each in parameters]
    elif name.startswith("**"):
        parameters.append(inspect.Parameter(name[2:], inspect.Parameter.VAR_KEYWORD))
    elif name.startswith("*"):
        parameters.append(inspect.Parameter(name[1:], inspect.Parameter.VAR_POSITIONAL))
    elif name:
        named_only = any(each.kind is each.VAR_POSITIONAL for each in parameters)
        kind = inspect.Parameter.KEYWORD_ONLY if named_only else inspect.Parameter.POSITIONAL_OR_KEYWORD
        value = default or inspect.Parameter.empty
        parameters.append(inspect.Parameter(name, kind, default=value))


def _loop_complaint(use: Use, ufunc: Any) -> str:
    if not isinstance(ufunc, cupy.ufunc):
        return ""  # matmul: a generalized ufunc, whose loops are cuBLAS calls
    asked = np.dtype(use.dtype) if use.dtype else None
    operands = [_operand(kind) for kind in use.operands]
    call = f"xp.{use.name}({', '.join(use.operands)}{f', dtype={asked}' if asked else ''})"
    try:
        loop = ufunc._ops.guess_routine(ufunc.name, {}, operands, asked, ufunc._out_ops)
    except TypeError as error:
        return f"{call}: CuPy refuses it: {error}"
    results = tuple([np.dtype(each).name for each in loop.out_types])
    if use.results and results != use.results:
        return f"{call}: CuPy gives {', '.join(results)}, numpy {', '.join(use.results)}"
    return ""


def _operand(kind: str) -> Any:
    if kind in _PYTHON_NUMBERS:
        return CScalar(_PYTHON_NUMBERS[kind])
    return array_without_gpu(np.zeros(1, kind))


def array_without_gpu(host: np.ndarray[Any, np.dtype[Any]]) -> Any:
    """Return a CuPy array over host memory: good for metadata, views and refusals, never to be read."""
    memory = cupy.cuda.UnownedMemory(host.ctypes.data, host.nbytes, host, 0)
    pointer = cupy.cuda.MemoryPointer(memory, 0)
    return cupy.ndarray(host.shape, host.dtype, pointer, host.strides)
