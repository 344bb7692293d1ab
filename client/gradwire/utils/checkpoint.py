"""`torch.utils.checkpoint`: trade the memory of saved values for computing them twice."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from gradwire import random
from gradwire.autocasting import as_it_was, snapshot
from gradwire.autograd import backward
from gradwire.autograd.function import Function
from gradwire.autograd.grad_mode import enable_grad
from gradwire.autograd.grad_mode import state as grad_state
from gradwire.autograd.recomputed import recomputed
from gradwire.autograd.saved_tensors import state as saved_state
from gradwire.autograd.saved_values import PackedInput
from gradwire.tensor import Tensor

__all__ = ["checkpoint", "checkpoint_sequential", "noop_context_fn"]


def noop_context_fn() -> tuple[Any, Any]:
    """Return two contexts that do nothing: for the forward, and for computing again."""
    return contextlib.nullcontext(), contextlib.nullcontext()


@contextlib.contextmanager
def _generator_at(state: Any) -> Iterator[None]:
    """Let the default generator stand at `state`, and put it back; None leaves it alone."""
    if state is None:
        yield
        return
    now, random.default_generator.position = random.default_generator.position, state
    try:
        yield
    finally:
        random.default_generator.position = now


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Any, Any]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """Return `function(*args, **kwargs)`; what its backward needs is computed again then, and not kept until.

    With `use_reentrant=False` gradients flow as if nothing had happened, to tensors that `function` closes over too. With
    True, only to the positional arguments, and through `backward()` alone. Raises ValueError for keyword arguments with
    `use_reentrant=True`.
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. Starting in PyTorch 2.9, "
            "calling checkpoint without use_reentrant will raise an exception. use_reentrant=False is recommended, but if "
            "you need to preserve the current default behavior, you can pass use_reentrant=True. Refer to docs for more "
            "details on the differences between the two variants.",
            stacklevel=2,
        )
        use_reentrant = True
    if determinism_check not in ("default", "none"):
        raise ValueError(f"determinism_check should be one of ['default', 'none'], but got {determinism_check}")
    if debug:
        raise ValueError("debug=True of checkpoint needs PyTorch's dispatcher; gradwire has none; leave it out")
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn:
            raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        return _Reentrant.apply(function, preserve_rng_state, *args)
    state = random.default_generator.position if preserve_rng_state else None
    return _without_reentrance(function, args, kwargs, state, context_fn)


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    if not isinstance(value, Iterable) or isinstance(value, str):
        return []
    return [tensor for item in value for tensor in _tensors(item)]


def _without_reentrance(
    function: Callable[..., Any], args: Any, kwargs: Any, state: Any, context_fn: Callable[[], tuple[Any, Any]]
) -> Any:
    if not grad_state.recording:
        return function(*args, **kwargs)
    first_context, again_context = context_fn()
    # The node holds `compute`, so that holds the arguments as hooks of saved tensors left them, and no output.
    held, firsts, results = _held(args), [args], list[Any]()
    del args
    autocast = snapshot()

    def compute() -> Sequence[Any]:
        if firsts:
            with first_context:
                results.append(function(*firsts.pop(), **kwargs))
            return _tensors(results[0])
        given = [arg.unpack_linked() if isinstance(arg, PackedInput) else arg for arg in held]
        with _generator_at(state), as_it_was(autocast), again_context:
            return _tensors(function(*given, **kwargs))

    recomputed(compute)
    return results.pop()


def _held(args: Sequence[Any]) -> list[Any]:
    """Return the arguments, the tensors among them packed by the hooks that are on."""
    pair = saved_state.pair
    return [PackedInput(pair, arg) if pair is not None and isinstance(arg, Tensor) else arg for arg in args]


class _Reentrant(Function):
    """Runs the function unrecorded, and once more, recorded, inside of its own backward."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Any], preserve_rng_state: bool, *args: Any) -> Any:
        """Return `function(*args)`."""
        if not any(isinstance(arg, Tensor) and arg.requires_grad for arg in args):
            warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=3)
        ctx.function = function
        ctx.rng_state = random.default_generator.position if preserve_rng_state else None
        ctx.autocast = snapshot()
        ctx.args = [None if isinstance(arg, Tensor) else arg for arg in args]
        ctx.places = [index for index, arg in enumerate(args) if isinstance(arg, Tensor)]
        ctx.save_for_backward(*(args[index] for index in ctx.places))
        return function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Compute again on detached inputs, and run a backward of their own through that."""
        inputs = list(ctx.args)
        for index, tensor in zip(ctx.places, ctx.saved_tensors, strict=True):
            inputs[index] = tensor.detach().requires_grad_(tensor.requires_grad)
        with enable_grad(), _generator_at(ctx.rng_state), as_it_was(ctx.autocast):
            outputs = ctx.function(*inputs)
        listed = outputs if isinstance(outputs, tuple | list) else (outputs,)
        pairs = [(o, g) for o, g in zip(listed, grads, strict=True) if isinstance(o, Tensor) and o.requires_grad]
        if not pairs:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        backward([output for output, _ in pairs], [gradient for _, gradient in pairs])
        return None, None, *(tensor.grad if isinstance(tensor, Tensor) else None for tensor in inputs)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, preserve_rng_state: bool = True
) -> Any:
    """Run a Sequential, or a list of modules, in `segments` checkpoints; the last part is not checkpointed."""
    layers = list(functions.children()) if hasattr(functions, "children") else list(functions)
    size = len(layers) // segments

    def run(part: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
        def forward(value: Any) -> Any:
            for layer in part:
                value = layer(value)
            return value

        return forward

    for start in range(0, size * (segments - 1), max(size, 1)):
        part = run(layers[start : start + size])
        input = checkpoint(part, input, use_reentrant=use_reentrant, preserve_rng_state=preserve_rng_state)
    return run(layers[size * (segments - 1) :])(input)
