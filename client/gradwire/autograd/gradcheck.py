"""`gradcheck` and `gradgradcheck`: gradients against finite differences.

The inputs are moved in place on the worker, element by element; only comparing a finished Jacobian waits.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from gradwire.autograd.engine import grad
from gradwire.autograd.function import Function
from gradwire_protocol.dtypes import complex128, float64, promote_types
from gradwire_protocol.ops import OPS
from gradwire_protocol.tape import Variable

if TYPE_CHECKING:
    from gradwire.tensor import Tensor

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]

Tensors = tuple[Any, ...]
Run = Callable[..., Any]

_NON_DETERMINISTIC = (
    "\n\nNOTE: If your op relies on non-deterministic operations i.e., it is listed here:\n"
    "https://pytorch.org/docs/stable/generated/torch.use_deterministic_algorithms.html\n"
    "this failure might be expected. If you are adding a new operator, pass nondet_tol=<tol> to gradcheck or gradgradcheck."
)
_UNDEFINED = 'Please look at "Notes about undefined output gradients" in "tools/autograd/derivatives.yaml"'


class GradcheckError(RuntimeError):
    """A gradient is not what finite differences say, or breaks a rule that gradients follow."""


@dataclass(frozen=True, slots=True)
class _Tolerance:
    """How a check is made; the names are those of `gradcheck`."""

    eps: float
    atol: float
    rtol: float
    nondet_tol: float
    check_undefined_grad: bool
    check_grad_dtypes: bool


class _Undefined(Function):
    """Passes a tensor on, and no gradient back."""

    @staticmethod
    def forward(ctx: Any, tensor: Any) -> Any:
        """Return a tensor of its own on the same memory."""
        return tensor.detach()

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        """Return nothing."""
        return


def _as_tuple(value: Any) -> Tensors:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _differentiable(outputs: Any) -> Tensors:
    return tuple(output for output in _as_tuple(outputs) if output.requires_grad)


def _watched(inputs: Tensors) -> list[Any]:
    """Return the inputs whose gradients are checked."""
    return [tensor for tensor in inputs if isinstance(tensor, Variable) and tensor.requires_grad]  # type: ignore[attr-defined]


def _check_inputs(inputs: Tensors) -> None:
    if not _watched(inputs):
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True."
        )
    for index, tensor in enumerate(inputs):
        if not isinstance(tensor, Variable) or not tensor.requires_grad:  # type: ignore[attr-defined]
            continue
        if tensor.meta.dtype not in (float64, complex128):
            warnings.warn(
                f"Input #{index} requires gradient and is not a double precision floating point or complex. This check will "
                "likely fail if all the inputs are not of double precision floating point or complex. ",
                stacklevel=4,
            )
        if any(stride == 0 and size > 1 for stride, size in zip(tensor.meta.strides, tensor.meta.shape, strict=True)):
            raise RuntimeError(
                f"The {index}th input has a dimension with stride 0. gradcheck only supports inputs that are "
                "non-overlapping to be able to compute the numerical gradients correctly. You should call .contiguous on "
                "the input before passing it to gradcheck."
            )


# ------------------------------------------------------------ finite differences
def _differences(run: Run, entry: Tensor, step: Any, eps: float, index: tuple[int, ...]) -> list[Any]:
    """Return by output how much it changes with one entry of an input, which is moved in place and put back."""
    original = entry.clone()
    entry.copy_(original - step)
    below = [output.detach().clone() for output in _as_tuple(run())]
    entry.copy_(original + step)
    above = [output.detach().clone() for output in _as_tuple(run())]
    entry.copy_(original)
    made = []
    for low, high in zip(below, above, strict=True):
        for name, one, other in (("shape", low.shape, high.shape), ("dtype", low.dtype, high.dtype)):
            if one != other:
                raise AssertionError(
                    f"Expected `func` to return outputs with the same {name} when inputs are perturbed on index {index} by "
                    f"{eps}, but got: {name}s {one} and {other}."
                )
        differentiable = low.meta.dtype.is_differentiable
        made.append(((high - low) / (2 * eps)).reshape(-1) if differentiable else None)
    return made


def _numerical_by(run: Run, tensor: Tensor, outputs: Tensors, eps: float) -> list[Any]:
    """Return by output the Jacobian (elements of the input, of the output) of finite differences; None for integers."""
    rows: list[list[Any]] = []
    data = tensor.data
    for index in product(*map(range, tensor.meta.shape)):
        entry = data[index]
        row = _differences(run, entry, eps, eps, index)
        if tensor.meta.dtype.is_complex:
            turned = _differences(run, entry, eps * 1j, eps, index)
            row = [None if one is None else one + other * 1j for one, other in zip(row, turned, strict=True)]
        rows.append(row)
    made = []
    for number, output in enumerate(outputs):
        column = [row[number] for row in rows]
        if column and column[0] is not None:
            made.append(OPS["stack"](column, 0))
        else:
            made.append(tensor.detach().new_zeros(tensor.meta.numel, output.meta.numel) if not column else None)
    return made


def _numerical(run: Run, inputs: Tensors, outputs: Tensors, eps: float) -> list[list[Any]]:
    """Return Jacobians by input and output."""
    return [_numerical_by(lambda: run(*inputs), tensor, outputs, eps) for tensor in _watched(inputs)]


# ------------------------------------------------------------ gradients
def _analytical(output: Tensor, watched: list[Any], check_grad_dtypes: bool) -> list[Any]:
    """Return by input the Jacobian (elements of the input, of the output) that gradients give."""
    size = output.meta.numel
    seeds = output.detach().new_zeros(size, size)
    seeds.diagonal().fill_(1)
    columns: list[list[Any]] = [[] for _ in watched]
    for seed in seeds.unbind(0) if size else ():
        found = grad(output, watched, seed.reshape(output.meta.shape), retain_graph=True, allow_unused=True)
        for column, gradient, tensor in zip(columns, found, watched, strict=True):
            if gradient is not None and gradient.meta.shape != tensor.meta.shape:
                raise GradcheckError("Analytical gradient has incorrect size")
            if check_grad_dtypes and gradient is not None and gradient.meta.dtype is not tensor.meta.dtype:
                raise GradcheckError("Gradient has dtype mismatch")
            column.append((tensor.detach().zeros_like() if gradient is None else gradient).reshape(-1))
    return [
        OPS["stack"](column, 1) if column else tensor.detach().new_zeros(tensor.meta.numel, 0)
        for column, tensor in zip(columns, watched, strict=True)
    ]


def _check_repeatable(first: list[Any], second: list[Any], tolerance: float) -> None:
    for one, other in zip(first, second, strict=True):
        if one.meta.numel and (one - other).abs().max().item() > tolerance:
            raise GradcheckError(
                "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times gives "
                "different values, although analytical gradient matches numerical gradient.The tolerance for "
                f"nondeterminism was {tolerance}.{_NON_DETERMINISTIC}"
            )


def _agree(one: Tensor, other: Tensor, how: _Tolerance) -> bool:
    dtype = promote_types(one.meta.dtype, other.meta.dtype)
    return bool(one.to(dtype).allclose(other.to(dtype), how.rtol, how.atol))


def _check_against(
    run: Run, numeric: Run, inputs: Tensors, how: _Tolerance, part: str, complex_outputs: Sequence[int]
) -> None:
    """Compare all Jacobians of `run`; `numeric` gives the same values, maybe cheaper."""
    outputs = _as_tuple(run(*inputs))
    numerical = _numerical(numeric, inputs, outputs, how.eps)
    watched = _watched(inputs)
    checked = [number for number, output in enumerate(outputs) if output.requires_grad]
    if not checked and any(bool((j != 0).any().item()) for row in numerical for j in row if j is not None):
        raise GradcheckError("Numerical gradient for function expected to be zero")
    for place, number in enumerate(checked):
        analytical = _analytical(outputs[number], watched, how.check_grad_dtypes)
        again = _analytical(outputs[number], watched, how.check_grad_dtypes)
        _check_repeatable(analytical, again, how.nondet_tol)
        for index, found in enumerate(analytical):
            expected = numerical[index][number]
            if not _agree(found, expected, how):
                prefix = (
                    f"While considering the {part} part of complex outputs only, " if place in complex_outputs else ""
                )
                raise GradcheckError(
                    f"{prefix}Jacobian mismatch for output {place} with respect to input {index},\nnumerical:{expected}\n"
                    f"analytical:{found}\n"
                )


def _part_of(run: Run, part: str) -> Run:
    """Return `run` with the real or the imaginary part of what is complex."""

    def wrapped(*args: Any) -> Tensors:
        return tuple(getattr(o, part) if o.meta.dtype.is_complex else o for o in _as_tuple(run(*args)))

    return wrapped


# ------------------------------------------------------------ rules that gradients follow
def _check_zero_in_zero_out(outputs: Tensors, watched: list[Any]) -> None:
    found = grad(outputs, watched, [output.detach().zeros_like() for output in outputs], allow_unused=True)
    if any(bool((gradient != 0).any().item()) for gradient in found if gradient is not None):
        raise GradcheckError("backward not multiplied by grad_output")


def _cut_outputs(run: Run, inputs: Tensors) -> Iterator[Tensors]:
    """Yield the outputs with no gradient coming back to any, and, where there are several, to one by one."""
    yield tuple(_Undefined.apply(output) for output in _differentiable(run(*inputs)))
    count = len(_differentiable(run(*inputs)))
    for cut in range(count if count > 1 else 0):
        outputs = _differentiable(run(*inputs))
        yield tuple(_Undefined.apply(output) if index == cut else output for index, output in enumerate(outputs))


def _warn_of_undefined() -> None:
    warnings.warn(
        "Backwards compatibility: New undefined gradient support checking feature is enabled by default, but it may break "
        "existing callers of this function. If this is true for you, you can call this function with "
        '"check_undefined_grad=False" to disable the feature',
        stacklevel=6,
    )


def _check_undefined(run: Run, inputs: Tensors) -> None:
    watched = _watched(inputs)
    for outputs in _cut_outputs(run, inputs):
        try:
            found = grad(outputs, watched, [output.detach().zeros_like() for output in outputs], allow_unused=True)
        except RuntimeError as error:
            _warn_of_undefined()
            raise GradcheckError(
                f"Expected backward function to handle undefined output grads. {_UNDEFINED}"
            ) from error
        if any(bool((gradient != 0).any().item()) for gradient in found if gradient is not None):
            _warn_of_undefined()
            raise GradcheckError(
                "Expected all input grads to be undefined or zero when all output grads are undefined or zero. "
                f"{_UNDEFINED}"
            )


def _check(run: Run, numeric: Run, inputs: Tensors, how: _Tolerance) -> bool:
    """Run every check; raise GradcheckError at the first that fails."""
    _check_inputs(inputs)
    outputs = _differentiable(run(*inputs))
    complex_outputs = [index for index, output in enumerate(outputs) if output.meta.dtype.is_complex]
    if complex_outputs:
        for part, name in (("imag", "imaginary"), ("real", "real")):
            _check_against(_part_of(run, part), _part_of(numeric, part), inputs, how, name, complex_outputs)
    else:
        _check_against(run, numeric, inputs, how, "", ())
    if outputs:
        _check_zero_in_zero_out(outputs, _watched(inputs))
        if how.check_undefined_grad:
            _check_undefined(run, inputs)
    return True


def _refuse(**options: Any) -> None:
    """Refuse checks of what gradwire does not have."""
    for name, value in options.items():
        if value:
            raise NotImplementedError(
                f"gradcheck checks backward mode on dense tensors, without vmap; got {name}={value}. Leave {name} out."
            )


def _settled(check: Callable[[], bool], raise_exception: bool) -> bool:
    if raise_exception:
        return check()
    try:
        return check()
    except GradcheckError:
        return False


def gradcheck(
    func: Callable[..., Any], inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3,
    raise_exception: bool = True, nondet_tol: float = 0.0, check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False, check_batched_grad: bool = False, check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False, check_backward_ad: bool = True, fast_mode: bool = False, masked: bool | None = None,
) -> bool:  # fmt: skip
    """Return True if gradients of `func` agree with finite differences; raise GradcheckError, or return False, if not.

    Inputs should be float64. `fast_mode` checks the whole Jacobian all the same. Waits for each Jacobian.
    """
    _refuse(
        check_forward_ad=check_forward_ad, check_batched_grad=check_batched_grad,
        check_batched_forward_grad=check_batched_forward_grad, masked=masked,
    )  # fmt: skip
    if not check_backward_ad:
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    how = _Tolerance(eps, atol, rtol, nondet_tol, check_undefined_grad, check_grad_dtypes)
    return _settled(lambda: _check(func, func, _as_tuple(inputs), how), raise_exception)


def _random_like(output: Tensor, is_contiguous: bool) -> Any:
    """Return a gradient in [-1, 1) that requires grad."""
    from gradwire.random import rand

    shape = (*output.meta.shape, 1 if is_contiguous else 2)
    parts = [rand(shape, dtype=float64) * 2 - 1 for _ in range(1 + output.meta.dtype.is_complex)]
    made = parts[0] if len(parts) == 1 else parts[0] + parts[1] * 1j
    return made.select(-1, 0).to(output.meta.dtype).detach().requires_grad_()


def gradgradcheck(
    func: Callable[..., Any], inputs: Any, grad_outputs: Any = None, *, eps: float = 1e-6, atol: float = 1e-5,
    rtol: float = 1e-3, gen_non_contig_grad_outputs: bool = False, raise_exception: bool = True, nondet_tol: float = 0.0,
    check_undefined_grad: bool = True, check_grad_dtypes: bool = False, check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False, check_rev_over_rev: bool = True, fast_mode: bool = False, masked: bool = False,
) -> bool:  # fmt: skip
    """Return True if gradients of the gradients of `func` agree with finite differences; else as `gradcheck`."""
    _refuse(check_fwd_over_rev=check_fwd_over_rev, check_batched_grad=check_batched_grad, masked=masked)
    if not check_rev_over_rev:
        raise AssertionError("Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True")
    tensors = _as_tuple(inputs)
    if grad_outputs is None:
        outputs = _differentiable(func(*tensors))
        seeds: Tensors = tuple(_random_like(output, not gen_non_contig_grad_outputs) for output in outputs)
    else:
        seeds = _as_tuple(grad_outputs)

    def first(create_graph: bool, *args: Any) -> Tensors:
        own, given = args[: len(tensors)], args[len(tensors) :]
        found = grad(_differentiable(func(*own)), _watched(own), given, create_graph=create_graph, allow_unused=True)
        return tuple(gradient for gradient in found if gradient is not None)

    # Finite differences need no graph of the gradients, for which each call would wait.
    how = _Tolerance(eps, atol, rtol, nondet_tol, check_undefined_grad, check_grad_dtypes)
    return _settled(
        lambda: _check(lambda *a: first(True, *a), lambda *a: first(False, *a), tensors + seeds, how), raise_exception
    )
