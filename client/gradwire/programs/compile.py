"""`gradwire.compile`, under the name and with the arguments of `torch.compile`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradwire.nn.module import Module
from gradwire.programs.compiled import CompiledFunction

__all__ = ["OptimizedModule", "compile"]

_MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
_BACKENDS = ("inductor", "cudagraphs", "aot_eager", "eager")


def compile(
    model: Callable[..., Any] | None = None, *, fullgraph: bool = True, dynamic: bool | None = None,
    backend: str = "inductor", mode: str | None = None, options: dict[str, Any] | None = None, disable: bool = False,
    recompile_limit: int = 8, steps: int | None = None,
) -> Any:  # fmt: skip
    """Return a function, or module, that is recorded twice and then runs on the worker by one message a call.

    It may do a forward, a loss and its backward, or a whole step with `zero_grad`, `backward`, clipping, an optimizer and a
    schedule. Its Python runs only while it is recorded, so it may look at no values (`.item()`) and change no Python state;
    both raise RuntimeError naming the line. Each kind of arguments (shapes, dtypes, Python values, grad mode) has a program of
    its own, up to `recompile_limit`; beyond it, and where a program cannot do what the function does, it runs as ever, with
    a warning. Usable as a decorator, with arguments or without.

    With `steps=K` (gradwire's own), a call takes tensors with K rows, one for each step, makes K steps by one message, and
    returns the stacked results: see `gradwire.loop`.

    `fullgraph` changes nothing: a function is one program or none. `mode` and `backend` may name PyTorch's, which choose
    among compilers that gradwire does not have; the results are the same. `dynamic=True` and `options` are refused.
    """
    if model is None:
        return lambda function: compile(
            function, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode, options=options, disable=disable,
            recompile_limit=recompile_limit, steps=steps,
        )  # fmt: skip
    if mode is not None and mode not in _MODES:
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(_MODES)}")
    if backend not in _BACKENDS:
        raise RuntimeError(
            f"Invalid backend: {backend!r}; gradwire has one compiler, and takes {', '.join(_BACKENDS)} for it"
        )
    if dynamic or options:
        raise RuntimeError(
            "gradwire.compile makes a program per shape and has no options; leave out "
            f"{'dynamic=True' if dynamic else 'options'}, or raise recompile_limit"
        )
    if disable:
        return model
    compiled = CompiledFunction(model, kinds=recompile_limit)
    if steps is not None:
        from gradwire.programs.loop import LoopedFunction

        return LoopedFunction(compiled, steps)
    return OptimizedModule(model, compiled) if isinstance(model, Module) else compiled


class OptimizedModule(Module):
    """A module whose calls are compiled. All else is the module's own; its state has the prefix `_orig_mod.`, as PyTorch's."""

    def __init__(self, module: Module, compiled: CompiledFunction) -> None:
        super().__init__()
        self._orig_mod = module
        self.training = module.training
        object.__setattr__(self, "compiled", compiled)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module's program."""
        return self.compiled(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module's program."""
        return self(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "_orig_mod":
                raise
            return getattr(self._orig_mod, name)

    def __setattr__(self, name: str, value: Any) -> None:
        # What a script sets on the module is for the module's code to see.
        if name in ("_orig_mod", "training") or "_orig_mod" not in self.__dict__.get("_modules", {}):
            super().__setattr__(name, value)
        else:
            setattr(self._orig_mod, name, value)
