"""Transforms that push vectors forward: `jvp`, `jacfwd`, `linearize`. See `Pushforward` for how."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from gradwire.autograd.grad_mode import enable_grad
from gradwire.autograd.levels import Level, Pushforward
from gradwire.func.arguments import Argnums, check_outputs, check_real, chosen, fresh_tree, replaced, split_aux
from gradwire.tree import TreeSpec, tree_flatten, tree_map, tree_unflatten
from gradwire_protocol.ops import OPS
from gradwire_protocol.tape import Variable

__all__ = ["jacfwd", "jvp", "linearize"]

_JVP = "jvp(f, primals, tangents)"


class _Pushed:
    """A function's outputs, as a flat list, and their derivative."""

    def __init__(self, func: Callable[..., Any], args: Sequence[Any], argnums: Argnums | None, has_aux: bool) -> None:
        self.level = Level()
        positions = list(range(len(args))) if argnums is None else chosen(args, argnums)
        with enable_grad():
            values = [fresh_tree(self.level, args[position]) for position in positions]
            output, aux = split_aux(func(*replaced(args, positions, values)), has_aux, _JVP)
        self.outputs, self.spec = tree_flatten(output)
        check_outputs(self.outputs, _JVP)
        self.inputs, self.input_spec = tree_flatten(values[0] if isinstance(argnums, int) else tuple(values))
        self.push = Pushforward(self.level, self.outputs, self.inputs)
        self.aux = tree_map(self.level.let_out, aux)

    def tangents(self, tangents: Sequence[Any]) -> list[Any]:
        """Return the tangents of the outputs, zeros where one depends on no input."""
        return [
            output.detach().zeros_like() if tangent is None else tangent
            for output, tangent in zip(self.outputs, self.push(tangents), strict=True)
        ]

    def value(self) -> Any:
        """Return the outputs as the function gave them."""
        return tree_unflatten([self.level.let_out(output) for output in self.outputs], self.spec)


def _check_tangents(primals: Sequence[Any], tangents: Sequence[Any]) -> None:
    for name, tensors in (("primals", primals), ("tangents", tangents)):
        if not tensors:
            raise RuntimeError(f"{_JVP}: Expected {name} to contain at least one Tensor.")
        for tensor in tensors:
            if not isinstance(tensor, Variable):
                raise RuntimeError(f"{_JVP}: Expected {name} to only contain Tensors, got {type(tensor)}")
    for primal, tangent in zip(primals, tangents, strict=True):
        if primal.meta.shape != tangent.meta.shape:
            raise RuntimeError(
                "Trying to set a forward gradient that has a different size than that of the original Tensor, this is not "
                f"supported. Tensor is of size {list(primal.meta.shape)} while the given forward gradient is of size "
                f"{list(tangent.meta.shape)}."
            )


def jvp(
    func: Callable[..., Any], primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False
) -> tuple[Any, ...]:
    """Return `func(*primals)` and the product of its Jacobian with `tangents`, built as the tuple `primals`.

    With `has_aux`, `func` returns (output, aux), and this (output, product, aux). With `strict`, an output that depends on
    no input raises RuntimeError. Waits once. Unlike in PyTorch, `no_grad` inside of `func` stops tangents too.
    """
    if not isinstance(primals, tuple):
        raise RuntimeError(f"{_JVP}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals).")
    flat, spec = tree_flatten(primals)
    given, given_spec = tree_flatten(tangents)
    if spec != given_spec:
        raise RuntimeError(
            f"{_JVP}: Expected primals and tangents to have the same python structure. For example, if primals is a tuple of "
            f"3 tensors, tangents also must be. Got primals with structure {spec} and tangents with structure {given_spec}"
        )
    _check_tangents(flat, given)
    pushed = _Pushed(func, primals, None, has_aux)
    if strict and any(not output.requires_grad for output in pushed.outputs):
        raise RuntimeError(
            "jvp(f, primals, tangents, strict=True): The output of f is independent of the inputs. This is not allowed with "
            "strict=True."
        )
    result = pushed.value(), tree_unflatten(pushed.tangents(given), pushed.spec)
    return (*result, pushed.aux) if has_aux else result


def _basis(inputs: Sequence[Any]) -> list[list[Any]]:
    """Return tangents for each element of each input: 1 there, and 0 elsewhere."""
    zeros = [tensor.detach().zeros_like() for tensor in inputs]
    made = []
    for place, tensor in enumerate(inputs):
        size = tensor.meta.numel
        seeds = tensor.detach().new_zeros(size, size)
        seeds.diagonal().fill_(1)
        made += [replaced(zeros, [place], [seed.reshape(tensor.meta.shape)]) for seed in seeds.unbind(0)]
    return made


def jacfwd(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Callable[..., Any]:
    """Return a function that gives the Jacobian of `func`, as `jacrev` does: a loop over the elements of the inputs.

    `func` runs once, so that every column sees the same random numbers; `randomness` must be "error" or "same".
    """
    if randomness not in ("error", "same"):
        raise RuntimeError(f"jacfwd runs func once, so randomness must be 'error' or 'same'; got {randomness!r}")

    @functools.wraps(func)
    def wrapper(*args: Any) -> Any:
        check_real("jacfwd", args, "inputs")
        pushed = _Pushed(func, args, argnums, has_aux)
        check_real("jacfwd", pushed.outputs, "outputs")
        columns = [pushed.tangents(tangents) for tangents in _basis(pushed.inputs)]
        rows = [
            _by_input([column[number] for column in columns], output.meta.shape, pushed.inputs, pushed.input_spec)
            for number, output in enumerate(pushed.outputs)
        ]
        result = tree_unflatten(rows, pushed.spec)
        return (result, pushed.aux) if has_aux else result

    return wrapper


def _by_input(columns: list[Any], shape: tuple[int, ...], inputs: Sequence[Any], spec: TreeSpec) -> Any:
    """Return the Jacobian of one output, shaped `(*output, *input)` for each input."""
    made, first = [], 0
    for tensor in inputs:
        part = columns[first : first + tensor.meta.numel]
        first += len(part)
        if part:
            made.append(OPS["stack"](part, -1).reshape(shape + tensor.meta.shape))
        else:
            made.append(tensor.detach().new_zeros(shape + tensor.meta.shape))
    return tree_unflatten(made, spec)


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """Return `func(*primals)` and a function of tangents, which gives their product with the Jacobian.

    `func` runs once; the function may be called often.
    """
    pushed = _Pushed(func, primals, None, False)

    def product(*tangents: Any) -> Any:
        flat, spec = tree_flatten(tangents)
        if spec != pushed.input_spec:
            raise RuntimeError(
                f"Expected the tangents {spec} to have the same argspec as the primals {pushed.input_spec}"
            )
        for index, (tangent, primal) in enumerate(zip(flat, pushed.inputs, strict=True)):
            for name, given, wanted in (
                ("shape", tangent.shape, primal.shape), ("dtype", tangent.dtype, primal.dtype)
            ):  # fmt: skip
                if given != wanted:
                    raise RuntimeError(
                        f"tangent:{index} with {name} {given} in flattened pytree doesn't match the {name} {wanted} of the "
                        "corresponding primal."
                    )
        return tree_unflatten(pushed.tangents(flat), pushed.spec)

    return pushed.value(), product
