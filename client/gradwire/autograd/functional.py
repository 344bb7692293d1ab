"""`torch.autograd.functional`: Jacobians, Hessians, and their products with vectors, of functions of tensors.

All is done by `grad`. What needs forward mode differentiates a gradient with respect to the vector that it is linear in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gradwire.autograd.engine import grad
from gradwire.autograd.grad_mode import enable_grad, is_grad_enabled, set_grad_enabled
from gradwire_protocol.ops import OPS
from gradwire_protocol.tape import Variable

if TYPE_CHECKING:
    from gradwire.tensor import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = tuple[Any, ...]

_OUTPUTS = "outputs of the user-provided function"

# What strict mode says of a tensor that does not require grad, by what it is.
_NOT_DIFFERENTIABLE = {
    "outputs": (
        "Output {} of the user-provided function does not require gradients. The outputs must be computed in a "
        "differentiable manner from the input when running in strict mode."
    ),
    "grad_inputs": (
        "The gradient with respect to input {} is independent of the inputs of the user-provided function. This is not "
        "allowed in strict mode."
    ),
    "jacobian": (
        "While computing the hessian, found that the jacobian of the user-provided function with respect to input {} is "
        "independent of the input. This is not allowed in strict mode. You should ensure that your function is twice "
        "differentiable and that the jacobian depends on the inputs (this would be violated by a linear function for "
        "example)."
    ),
}
# What strict mode says of a gradient that is missing, by the step that it is missing from.
_INDEPENDENT = {
    "back": "The output of the user-provided function is independent of input {}. This is not allowed in strict mode.",
    "back_trick": (
        "The gradient with respect to the input is independent of entry {} in the grad_outputs when using the double "
        "backward trick to compute forward mode gradients. This is not allowed in strict mode."
    ),
    "double_back": (
        "The jacobian of the user-provided function is independent of input {}. This is not allowed in strict mode."
    ),
    "double_back_trick": (
        "The hessian of the user-provided function is independent of entry {} in the grad_jacobian. This is not allowed in "
        "strict mode as it prevents from using the double backward trick to replace forward mode AD."
    ),
}
_CONSTANT = (
    "The {} of the user-provided function is independent of input {}. This is not allowed in strict mode when "
    "create_graph=True."
)


def _as_tuple(value: Any, what: str, function: str) -> tuple[bool, Tensors]:
    """Return whether `value` is a tuple, and it as one; raise TypeError unless it holds tensors alone."""
    is_tuple = isinstance(value, tuple)
    values: Tensors = value if is_tuple else (value,)
    for index, item in enumerate(values):
        if not isinstance(item, Variable):
            which = f"value at index {index}" if is_tuple else f"given {what}"
            raise TypeError(
                f"The {what} given to {function} must be either a Tensor or a tuple of Tensors but the {which} has type "
                f"{type(item)}."
            )
    return is_tuple, values


def _own(tensors: Tensors, create_graph: bool, requires_grad: bool = True) -> Tensors:
    """Return new tensors in place of `tensors`, so that a function which also closes over one of them is told apart."""
    return tuple(
        tensor.view_as(tensor)
        if create_graph and tensor.requires_grad
        else tensor.detach().requires_grad_(requires_grad)
        for tensor in tensors
    )


def _vector(v: Any, like: Tensors, is_tuple: bool, function: str, create_graph: bool, missing: str) -> Tensors | None:
    """Return the given vector as a tuple that matches `like`; None, for 1, where that is a single number."""
    if v is None:
        if len(like) != 1 or like[0].meta.numel != 1:
            raise RuntimeError(f"The vector v can only be None if the {missing}.")
        return None
    vector = _own(_as_tuple(v, "v", function)[1], create_graph, False)
    if len(vector) != len(like):
        if is_tuple:
            raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(vector)}.")
        raise RuntimeError("The given v should contain a single Tensor.")
    for index, (given, wanted) in enumerate(zip(vector, like, strict=True)):
        if given.meta.shape != wanted.meta.shape:
            entry = f"Entry {index} in " if is_tuple else ""
            raise RuntimeError(f"{entry}v has invalid size: should be {wanted.shape} but got {given.shape}.")
    return vector


_ONE_INPUT = "input to the user-provided function is a single Tensor with a single element"
_ONE_OUTPUT = "user-provided function returns a single Tensor with a single element"


def _check_differentiable(tensors: Sequence[Any], what: str, strict: bool) -> None:
    for index, tensor in enumerate(tensors if strict else ()):
        if tensor is None:
            raise RuntimeError(_INDEPENDENT["back"].format(index))
        if not tensor.requires_grad:
            raise RuntimeError(_NOT_DIFFERENTIABLE[what].format(index))


def _gradients(
    outputs: Tensors, inputs: Tensors, seeds: Tensors | None = None, *, create_graph: bool = False, retain: bool = False
) -> tuple[Tensor | None, ...]:
    """Return `grad` of those outputs that have one; None where none leads to an input."""
    pairs = [
        (output, None if seeds is None else seeds[index])
        for index, output in enumerate(outputs)
        if output is not None and output.requires_grad
    ]
    if not pairs:
        return (None,) * len(inputs)
    return grad(
        [output for output, _ in pairs], inputs, [seed for _, seed in pairs],
        retain_graph=True if retain else None, create_graph=create_graph, allow_unused=True,
    )  # fmt: skip


def _filled(grads: Sequence[Any], like: Tensors, strict: bool, create_graph: bool, step: str) -> Tensors:
    """Put zeros where there is no gradient; raise RuntimeError there in strict mode."""
    made = []
    for index, (gradient, tensor) in enumerate(zip(grads, like, strict=True)):
        if gradient is None and strict:
            raise RuntimeError(_INDEPENDENT[step].format(index))
        if gradient is not None and strict and create_graph and not gradient.requires_grad:
            raise RuntimeError(_CONSTANT.format("hessian" if "double" in step else "jacobian", index))
        made.append(tensor.detach().zeros_like() if gradient is None else gradient)
    return tuple(made)


def _results(tensors: Tensors, create_graph: bool, is_tuple: bool) -> Any:
    """Return what the user gets: without a graph unless asked for, and a tuple only for a tuple."""
    found = tensors if create_graph else tuple(tensor.detach() for tensor in tensors)
    return found if is_tuple else found[0]


def _variables(tensors: Tensors) -> Tensors:
    """Return zeros that a gradient is to be linear in."""
    return tuple(tensor.detach().zeros_like().requires_grad_() for tensor in tensors)


def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return `func(*inputs)`, and the product of `v`, shaped as it, with its Jacobian."""
    with enable_grad():
        is_inputs_tuple, inputs = _as_tuple(inputs, "inputs", "vjp")
        inputs = _own(inputs, create_graph)
        is_outputs_tuple, outputs = _as_tuple(func(*inputs), _OUTPUTS, "vjp")
        _check_differentiable(outputs, "outputs", strict)
        vector = _vector(v, outputs, is_outputs_tuple, "vjp", create_graph, _ONE_OUTPUT)
    with set_grad_enabled(create_graph or is_grad_enabled()):
        grads = _gradients(outputs, inputs, vector, create_graph=create_graph)
        product = _filled(grads, inputs, strict, create_graph, "back")
    return _results(outputs, create_graph, is_outputs_tuple), _results(product, create_graph, is_inputs_tuple)


def jvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return `func(*inputs)`, and the product of its Jacobian with `v`, shaped as the inputs. Waits once."""
    with enable_grad():
        is_inputs_tuple, inputs = _as_tuple(inputs, "inputs", "jvp")
        inputs = _own(inputs, create_graph)
        vector = _vector(v, inputs, is_inputs_tuple, "jvp", create_graph, _ONE_INPUT)
        is_outputs_tuple, outputs = _as_tuple(func(*inputs), _OUTPUTS, "jvp")
        _check_differentiable(outputs, "outputs", strict)
        linear = _variables(outputs)
        grads = _gradients(outputs, inputs, linear, create_graph=True)
        _check_differentiable(grads, "grad_inputs", strict)
    with set_grad_enabled(create_graph or is_grad_enabled()):
        found = _gradients(grads, linear, vector, create_graph=create_graph)
        product = _filled(found, outputs, strict, create_graph, "back_trick")
    return _results(outputs, create_graph, is_outputs_tuple), _results(product, create_graph, is_outputs_tuple)


def _scalar_output(func: Callable[..., Any], inputs: Tensors, name: str, strict: bool) -> Any:
    """Run a function whose Hessian is wanted."""
    is_tuple, outputs = _as_tuple(func(*inputs), _OUTPUTS, name)
    _check_differentiable(outputs, "outputs", strict)
    if is_tuple:
        raise RuntimeError(f"The function given to {name} should return a single Tensor")
    if outputs[0].meta.numel != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {name} should contain a single element")
    return outputs[0]


def vhp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return `func(*inputs)`, a single number, and the product of `v`, shaped as the inputs, with its Hessian."""
    with enable_grad():
        is_tuple, inputs = _as_tuple(inputs, "inputs", "vhp")
        inputs = _own(inputs, create_graph)
        vector = _vector(v, inputs, is_tuple, "vhp", create_graph, _ONE_INPUT)
        output = _scalar_output(func, inputs, "vhp", strict)
        gradient = _gradients((output,), inputs, create_graph=True)
        _check_differentiable(gradient, "jacobian", strict)
    with set_grad_enabled(create_graph or is_grad_enabled()):
        found = _gradients(gradient, inputs, vector, create_graph=create_graph)
        product = _filled(found, inputs, strict, create_graph, "double_back")
    return _results((output,), create_graph, False), _results(product, create_graph, is_tuple)


def hvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return `func(*inputs)`, a single number, and the product of its Hessian with `v`, shaped as the inputs."""
    with enable_grad():
        is_tuple, inputs = _as_tuple(inputs, "inputs", "hvp")
        inputs = _own(inputs, create_graph)
        vector = _vector(v, inputs, is_tuple, "hvp", create_graph, _ONE_INPUT)
        output = _scalar_output(func, inputs, "hvp", strict)
        gradient = _gradients((output,), inputs, create_graph=True)
        _check_differentiable(gradient, "jacobian", strict)
        linear = _variables(inputs)
        twice = _gradients(gradient, inputs, linear, create_graph=True)
    with set_grad_enabled(create_graph or is_grad_enabled()):
        found = _gradients(twice, linear, vector, create_graph=create_graph)
        product = _filled(found, inputs, strict, create_graph, "double_back_trick")
    return _results((output,), create_graph, False), _results(product, create_graph, is_tuple)


def _nested(rows: Sequence[Sequence[Any]], create_graph: bool, is_outputs_tuple: bool, is_inputs_tuple: bool) -> Any:
    """Return the parts of a Jacobian, by output and then input, as nested as the function's own outputs and inputs."""
    found = tuple(_results(tuple(row), create_graph, is_inputs_tuple) for row in rows)
    return found if is_outputs_tuple else found[0]


def _rows_of(number: int, output: Any, inputs: Tensors, create_graph: bool, strict: bool, vectorize: bool) -> Tensors:
    """Return the Jacobian of one output by each input: a gradient per element."""
    columns: list[list[Any]] = [[] for _ in inputs]
    flat = output.reshape(-1)
    for row in range(output.meta.numel):
        element = flat[row]
        # PyTorch's vectorized form gives the seeds itself, so complex outputs pass there and are refused otherwise.
        seeds = (element.detach().ones_like(),) if vectorize else None
        grads = _gradients((element,), inputs, seeds, create_graph=create_graph, retain=True)
        for index, (gradient, tensor) in enumerate(zip(grads, inputs, strict=True)):
            if strict and gradient is None:
                raise RuntimeError(
                    f"Output {number} of the user-provided function is independent of input {index}. This is not allowed "
                    "in strict mode."
                )
            if strict and create_graph and not gradient.requires_grad:  # type: ignore[union-attr]
                raise RuntimeError(_CONSTANT.format("jacobian", number))
            columns[index].append(tensor.detach().zeros_like() if gradient is None else gradient)
    return tuple(
        OPS["stack"](column, 0).view(output.meta.shape + tensor.meta.shape)
        if column
        else tensor.detach().new_zeros(output.meta.shape + tensor.meta.shape)
        for column, tensor in zip(columns, inputs, strict=True)
    )


def _forward_jacobian(func: Callable[..., Any], inputs: Any, strict: bool, vectorize: bool) -> Any:
    """Return the Jacobian column by column: a product with each element of the inputs' basis."""
    if strict:
        raise RuntimeError(
            'torch.autograd.functional.jacobian: `strict=True` and `strategy="forward-mode"` are not supported together '
            '(yet). Please either set `strict=False` or `strategy="reverse-mode"`.'
        )
    is_inputs_tuple, inputs = _as_tuple(inputs, "inputs", "jacobian")
    if not vectorize:
        raise NotImplementedError(
            "Computing Jacobian using forward-AD or forward-over-reverse Hessian isonly implemented for `vectorize=True`."
        )
    with enable_grad():
        inputs = _own(inputs, False)
        is_outputs_tuple, outputs = _as_tuple(func(*inputs), _OUTPUTS, "jacobian")
        linear = _variables(outputs)
        grads = _gradients(outputs, inputs, linear, create_graph=True)
    rows: list[list[Any]] = [[] for _ in outputs]
    for gradient, tensor in zip(grads, inputs, strict=True):
        size = tensor.meta.numel
        basis = tensor.detach().new_zeros(size, size)
        basis.diagonal().fill_(1)
        columns = [
            _filled(
                _gradients((gradient,), linear, (seed.view_as(tensor),), retain=True), outputs, False, False, "back"
            )
            for seed in basis.unbind(0)
        ]
        for row, output, parts in zip(rows, outputs, zip(*columns, strict=True), strict=True):
            row.append(OPS["stack"](parts, -1).reshape(output.meta.shape + tensor.meta.shape))
    return _nested(rows, False, is_outputs_tuple, is_inputs_tuple)


def jacobian(
    func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """Return the Jacobian of `func` at `inputs`, of shape `(*output, *input)`, nested by output and then input.

    A loop over the elements of the outputs, or, with "forward-mode", of the inputs; `vectorize` gives the same result.
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function has more outputs than '
            'inputs, "forward-mode" tends to be more performant. Otherwise, prefer to use "reverse-mode".'
        )
    if strategy == "forward-mode":
        if create_graph:
            raise NotImplementedError(
                'torch.autograd.functional.jacobian: `create_graph=True` and `strategy="forward-mode"` are not supported '
                'together (yet). Please either set `create_graph=False` or `strategy="reverse-mode"`.'
            )
        return _forward_jacobian(func, inputs, strict, vectorize)
    with enable_grad():
        is_inputs_tuple, inputs = _as_tuple(inputs, "inputs", "jacobian")
        inputs = _own(inputs, create_graph)
        is_outputs_tuple, outputs = _as_tuple(func(*inputs), _OUTPUTS, "jacobian")
        _check_differentiable(outputs, "outputs", strict)
        if vectorize and strict:
            raise RuntimeError(
                "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not supported together. "
                "Please either set `strict=False` or `vectorize=False`."
            )
        rows = [
            _rows_of(number, output, inputs, create_graph, strict, vectorize) for number, output in enumerate(outputs)
        ]
        return _nested(rows, create_graph, is_outputs_tuple, is_inputs_tuple)


def hessian(
    func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """Return the Hessian of `func`, which returns a single number: the Jacobian of its Jacobian."""
    is_tuple, inputs = _as_tuple(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def gradient(*own: Any) -> Any:
        found = jacobian(
            lambda *inner: _scalar_output(func, inner, "hessian", strict).squeeze(), own, create_graph=True
        )
        _check_differentiable(found, "jacobian", strict)
        return found

    found = jacobian(
        gradient,
        inputs,
        create_graph=create_graph,
        strict=strict,
        vectorize=vectorize,
        strategy=outer_jacobian_strategy,
    )
    return found if is_tuple else found[0][0]
