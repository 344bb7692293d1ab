"""`loop`: a compiled step run over data on the worker, many steps by one message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradwire.programs.compile import OptimizedModule, compile
from gradwire.programs.compiled import CompiledFunction
from gradwire.tensor import Tensor
from gradwire.tree import tree_flatten, tree_unflatten

__all__ = ["LoopedFunction", "loop"]


def loop(step: Callable[..., Any], *args: Any, steps: int | None = None, **kwargs: Any) -> Any:
    """Run a step on row after row of its arguments, and return its results stacked along a new axis in front, without a graph.

    Step k gets row k of each tensor among the arguments, which all have as many rows; `steps` is their number, or may be
    more: row k modulo their number. Arguments that are no tensors are given to each step, and of results that are no tensors
    the last step's is returned. Everything comes out as if `step` were called that often: weights, optimizers, schedules,
    random numbers.

    `step` is what `gradwire.compile` returned; a plain function is compiled for this call alone. The steps before there is a
    program, and those where none fits, are single calls. Does not wait. A step that fails is named at the next wait.
    """
    compiled = step.compiled if isinstance(step, OptimizedModule) else step
    if not isinstance(compiled, CompiledFunction):
        compiled = compile(step)
        compiled = compiled.compiled if isinstance(compiled, OptimizedModule) else compiled
    leaves, spec = tree_flatten((args, kwargs))
    data = [leaf.contiguous() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
    rows = _rows(data, steps)
    return _run(compiled, data, spec, rows if steps is None else steps)


def _rows(data: Sequence[Any], steps: int | None) -> int:
    """Return how many rows the tensors have."""
    tensors = [leaf for leaf in data if isinstance(leaf, Tensor)]
    sizes = {leaf.shape[0] if leaf.ndim else 0 for leaf in tensors}
    if len(sizes) > 1 or 0 in sizes:
        shapes = ", ".join(str(list(leaf.shape)) for leaf in tensors)
        raise RuntimeError(f"a loop needs tensors with as many rows each, at least one; got the shapes {shapes}")
    if any(leaf.requires_grad for leaf in tensors):
        raise RuntimeError("a loop's tensors may not require grad, since its results have no graph; detach() them")
    if steps is None and not sizes:
        raise RuntimeError("a loop over no tensors must be told how many steps to make: steps=...")
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or steps < 1):
        raise RuntimeError(f"a loop makes one step or more; got steps={steps!r}")
    return sizes.pop() if sizes else 0


def _run(compiled: CompiledFunction, data: Sequence[Any], spec: Any, steps: int) -> Any:
    """Make the steps, as many at once as can be."""
    parts: list[Any] = []
    done = 0
    while done < steps:
        row = [leaf[done % leaf.shape[0]] if isinstance(leaf, Tensor) else leaf for leaf in data]
        args, kwargs = tree_unflatten(row, spec)
        whole = {id(one): leaf for one, leaf in zip(row, data, strict=True) if isinstance(leaf, Tensor)}
        made = compiled.run_steps(args, kwargs, whole, done, steps - done)
        count, result = made or (1, _stacked(compiled(*args, **kwargs)))
        parts.append(result)
        done += count
    return _joined(parts)


def _stacked(result: Any) -> Any:
    """Return copies of a single step's results with an axis in front: a later step may write to what it returned."""
    leaves, spec = tree_flatten(result)
    return tree_unflatten(
        [leaf.detach().unsqueeze(0).clone() if isinstance(leaf, Tensor) else leaf for leaf in leaves], spec
    )


def _joined(parts: Sequence[Any]) -> Any:
    """Return the results of consecutive steps as one."""
    if len(parts) == 1:
        return parts[0]
    from gradwire.functions import cat

    flat = [tree_flatten(part) for part in parts]
    if any(spec != flat[0][1] for _, spec in flat):
        raise RuntimeError(f"the steps of a loop must return one structure; got {flat[0][1]} and others")
    leaves = [
        cat(list(column), 0) if isinstance(column[0], Tensor) else column[-1]
        for column in zip(*(leaves for leaves, _ in flat), strict=True)
    ]
    return tree_unflatten(leaves, flat[-1][1])


class LoopedFunction:
    """A compiled step that makes so many steps a call. Made by `gradwire.compile(step, steps=...)`."""

    def __init__(self, compiled: CompiledFunction, steps: int) -> None:
        """Nothing runs yet."""
        self.compiled, self.steps = compiled, steps

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make the steps over tensors with one row for each; see `loop`."""
        for leaf in tree_flatten((args, kwargs))[0]:
            if isinstance(leaf, Tensor) and leaf.shape[:1] != (self.steps,):
                raise RuntimeError(
                    f"a step compiled with steps={self.steps} needs tensors with {self.steps} rows, one for each; got "
                    f"{list(leaf.shape)}"
                )
        return loop(self.compiled, *args, steps=self.steps, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """Be the compiled function in all else."""
        return getattr(self.compiled, name)
