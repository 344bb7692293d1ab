"""Transforms by reverse mode: `grad`, `grad_and_value`, `vjp`, `jacrev`, `hessian`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from gradwire.autograd.grad_mode import enable_grad, is_grad_enabled
from gradwire.autograd.levels import Level, gradients
from gradwire.func.arguments import Argnums, check_outputs, check_real, chosen, fresh_tree, replaced, split_aux
from gradwire.tree import tree_flatten, tree_map, tree_unflatten
from gradwire_protocol.ops import OPS
from gradwire_protocol.tape import Variable

__all__ = ["grad", "grad_and_value", "hessian", "jacrev", "vjp"]


def _zeros_for_none(found: Sequence[Any], inputs: Sequence[Any], level: Level) -> list[Any]:
    return [
        tensor.detach().zeros_like() if gradient is None else level.let_out(gradient)
        for gradient, tensor in zip(found, inputs, strict=True)
    ]


def _check_scalar(output: Any) -> None:
    call = "grad_and_value(f)(*args): Expected f(*args) to return a"
    if not isinstance(output, Variable):
        raise RuntimeError(f"{call} Tensor, got {type(output)}")
    if output.meta.shape:
        raise RuntimeError(
            f"{call} scalar Tensor, got tensor with {len(output.meta.shape)} dims. Maybe you wanted to use the vjp or jacrev "
            "APIs instead?"
        )


def grad_and_value(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """Return a function that gives (gradient of `func`, its value): as `grad`; with `has_aux`, (gradient, (value, aux))."""

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        level = Level()
        positions = chosen(args, argnums)
        with enable_grad():
            values = [fresh_tree(level, args[position]) for position in positions]
            output, aux = split_aux(
                func(*replaced(args, positions, values), **kwargs), has_aux, "grad_and_value(f)(*args)"
            )
            _check_scalar(output)
        leaves, spec = tree_flatten(values[0] if isinstance(argnums, int) else tuple(values))
        is_open = level.is_recorded and level.is_open([output])
        found = gradients([output], leaves, create_graph=is_open, retain=True)
        result = tree_unflatten(_zeros_for_none(found, leaves, level), spec)
        value = level.let_out(output)
        return (result, (value, tree_map(level.let_out, aux))) if has_aux else (result, value)

    return wrapper


def grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """Return a function that gives the gradient of `func`, which returns a 0-dim tensor, by the arguments at `argnums`.

    With `has_aux`, `func` returns (output, aux), and the function (gradient, aux). Waits only inside of another derivative.
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return wrapper


class _Pullback:
    """The product of any vector with the Jacobian of `outputs`, a flat list, by `inputs`."""

    def __init__(self, level: Level, outputs: list[Any], inputs: list[Any]) -> None:
        self.level, self.outputs, self.inputs = level, outputs, inputs

    def __call__(
        self, cotangents: Sequence[Any], retain_graph: bool = True, create_graph: bool | None = None
    ) -> list[Any]:
        wanted = is_grad_enabled() if create_graph is None else create_graph
        is_open = wanted and self.level.is_open([*self.outputs, *cotangents])
        found = gradients(self.outputs, self.inputs, cotangents, create_graph=is_open, retain=retain_graph)
        return _zeros_for_none(found, self.inputs, self.level)


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """Return `func(*primals)` and a function of vectors shaped as it, which gives their product with the Jacobian.

    With `has_aux`, `func` returns (output, aux), and this (output, function, aux).
    """
    level, call = Level(), "vjp(f, *primals)"
    with enable_grad():
        values = fresh_tree(level, primals)
        output, aux = split_aux(func(*values), has_aux, call)
    outputs, spec = tree_flatten(output)
    inputs, input_spec = tree_flatten(values)
    check_outputs(outputs, call)
    for item in outputs:
        if not item.meta.dtype.is_differentiable:
            raise RuntimeError(
                "vjp(f, ...): All outputs of f must be floating-point or complex Tensors, got Tensor with dtype "
                f"torch.{item.meta.dtype.name}"
            )
    pull = _Pullback(level, outputs, inputs)

    def wrapper(*cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        # PyTorch takes one tree, shaped as the output.
        (tree,) = cotangents
        leaves, found_spec = tree_flatten(tree)
        if found_spec != spec:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of outputs to the function. "
                f"cotangents: {found_spec}, primal output: {spec}"
            )
        return tree_unflatten(pull(leaves, retain_graph, create_graph), input_spec)

    result = tree_map(level.let_out, output)
    return (result, wrapper, tree_map(level.let_out, aux)) if has_aux else (result, wrapper)


def _jacobian_of(number: int, pull: _Pullback) -> list[Any]:
    """Return the Jacobian of one output by each input, a row for each element."""
    output = pull.outputs[number]
    shape, size = output.meta.shape, output.meta.numel
    if not size:
        return [tensor.detach().new_zeros(shape + tensor.meta.shape) for tensor in pull.inputs]
    basis = output.detach().new_zeros(size, size)
    basis.diagonal().fill_(1)
    single = _Pullback(pull.level, [output], pull.inputs)
    rows = [single([seed.reshape(shape)]) for seed in basis.unbind(0)]
    return [
        OPS["stack"](column, 0).reshape(shape + tensor.meta.shape)
        for column, tensor in zip(zip(*rows, strict=True), pull.inputs, strict=True)
    ]


def jacrev(
    func: Callable[..., Any], argnums: Argnums = 0, *, has_aux: bool = False, chunk_size: int | None = None
) -> Callable[..., Any]:
    """Return a function that gives the Jacobian of `func` by the arguments at `argnums`: `(*output, *input)` each.

    Nested as the outputs, and in each as the inputs. A loop over the elements of the outputs; `chunk_size`, which bounds
    the memory of a batch of them, changes nothing.
    """
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def wrapper(*args: Any) -> Any:
        check_real("jacrev", args, "inputs")
        level, positions = Level(), chosen(args, argnums)
        with enable_grad():
            values = [fresh_tree(level, args[position]) for position in positions]
            output, aux = split_aux(func(*replaced(args, positions, values)), has_aux, "vjp(f, *primals)")
        outputs, spec = tree_flatten(output)
        check_outputs(outputs, "vjp(f, *primals)")
        check_real("jacrev", outputs, "outputs")
        inputs, input_spec = tree_flatten(values[0] if isinstance(argnums, int) else tuple(values))
        pull = _Pullback(level, outputs, inputs)
        rows = [tree_unflatten(_jacobian_of(number, pull), input_spec) for number in range(len(outputs))]
        result = tree_unflatten(rows, spec)
        return (result, tree_map(level.let_out, aux)) if has_aux else result

    return wrapper


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Return a function that gives the Hessian of `func`: the Jacobian of its Jacobian, both by reverse mode."""
    return jacrev(jacrev(func, argnums), argnums)
