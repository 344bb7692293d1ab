"""The door to LLVM: text in, a function out. The one file that imports llvmlite, when a program is fused for the first time."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import threading
from collections.abc import Callable
from typing import Any

from gradwire_server.loops import numba_version

__all__ = ["compiled", "is_available"]

# LLVM's objects are not for two threads at once.
_lock = threading.Lock()
# Of functions that are kept; each has a few KiB of code.
_MOST = 1024


@functools.cache
def is_available() -> bool:
    """Return whether steps can be compiled: numba brings llvmlite, and GRADWIRE_JIT=0 switches both off."""
    return bool(numba_version()) and importlib.util.find_spec("llvmlite") is not None


def compiled(text: str, name: str, arguments: int) -> Callable[..., None]:
    """Compile a module; return its function of so many integers, addresses among them. It runs without the interpreter's lock."""
    with _lock:
        return _compiled(text, name, arguments)


@functools.lru_cache(_MOST)
def _compiled(text: str, name: str, arguments: int) -> Callable[..., None]:
    from llvmlite import binding

    module = binding.parse_assembly(text)
    module.verify()
    machine = _machine(binding)
    options = binding.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    builder = binding.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    engine = binding.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_size_t] * arguments)(engine.get_function_address(name))
    function.engine = engine  # type: ignore[attr-defined]  # the code lives as long as this
    return function


def _machine(binding: Any) -> Any:
    """Return this processor, anew for each module: an engine takes its own over."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_default_triple()
    features = binding.get_host_cpu_features().flatten()
    return target.create_target_machine(cpu=binding.get_host_cpu_name(), features=features, opt=3)
