"""`torch.jit`, as PyTorch has it with PYTORCH_JIT=0: marks for the compiler change nothing, and compiling gives what it got.

What a script then computes is the same, only not compiled. Compiled files can be neither written nor read.
"""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

from gradwire.nn.module import Module

__all__ = [
    "BroadcastingList1", "BroadcastingList2", "BroadcastingList3", "Final", "ScriptModule", "annotate", "export", "freeze",
    "ignore", "is_scripting", "is_tracing", "load", "optimize_for_inference", "save", "script", "script_method",
    "trace", "trace_module", "unused",
]  # fmt: skip

F = TypeVar("F")
Final = Any


class ScriptModule(Module):
    """A module: PyTorch's base class of those that are compiled."""


class _BroadcastingList:
    """`BroadcastingList2[int]`: one number, or as many as the name says."""

    def __getitem__(self, kind: Any) -> Any:
        return Any


BroadcastingList1 = BroadcastingList2 = BroadcastingList3 = _BroadcastingList()


def is_scripting() -> bool:
    """Return False."""
    return False


def is_tracing() -> bool:
    """Return False."""
    return False


def export(fn: F) -> F:
    """Return the function: a mark for a compiler."""
    return fn


script_method = _overload = _overload_method = _script_if_tracing = script_if_tracing = export


def ignore(drop: Any = False) -> Any:
    """Return the function: a mark for a compiler, with or without arguments of its own."""
    return drop if callable(drop) else export


def unused(fn: F) -> F:
    """Return the function: a mark for a compiler."""
    return fn


def annotate(the_type: Any, the_value: F) -> F:
    """Return the value."""
    return the_value


def script(obj: F, optimize: None = None, example_inputs: Any = None) -> F:
    """Return the function, class or module itself. `example_inputs`, which a compiler takes types from, change nothing."""
    if optimize is not None:
        raise TypeError("torch.jit.script needs optimize=None, which PyTorch no longer reads either; leave it out")
    return obj


def trace(
    func: F, example_inputs: Any = None, optimize: None = None, check_trace: bool = True,
    check_inputs: Any = None, check_tolerance: float = 1e-5, strict: bool = True, *, example_kwarg_inputs: Any = None,
) -> F:  # fmt: skip
    """Return the function or module itself, which the example would have been recorded of."""
    if optimize is not None:
        raise TypeError("torch.jit.trace needs optimize=None, which PyTorch no longer reads either; leave it out")
    return func


def trace_module(mod: F, inputs: Any) -> F:
    """Return the module itself."""
    return mod


def freeze(mod: Any, preserved_attrs: list[str] | None = None, optimize_numerics: bool = True) -> NoReturn:
    """Raise NotImplementedError."""
    raise NotImplementedError(
        "torch.jit.freeze, optimize_for_inference, save and load work on compiled modules, which gradwire does not make; call "
        "the module, and use torch.save and torch.load for its state_dict"
    )


def optimize_for_inference(mod: Any, other_methods: list[str] | None = None) -> NoReturn:
    """Raise NotImplementedError."""
    freeze(mod)


def save(m: Any, f: Any, _extra_files: Any = None) -> NoReturn:
    """Raise NotImplementedError."""
    freeze(m)


def load(f: Any, map_location: Any = None, _extra_files: Any = None) -> NoReturn:
    """Raise NotImplementedError."""
    freeze(f)
