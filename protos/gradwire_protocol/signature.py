"""An op with everything about one call that does not vary: interned once per session, then sent by number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gradwire_protocol import limits
from gradwire_protocol.dtypes import DType, float32
from gradwire_protocol.meta import Meta, View
from gradwire_protocol.registry import Op
from gradwire_protocol.schema import Argument, Kind

__all__ = ["Signature", "check_sizes", "default_dtype", "resolve", "set_default", "tensor_span", "using_default"]

_NUMBER = (bool, int, float, complex)
# A stack: below, what this process set; above, what a signature that is being resolved was made under.
_default_dtype: list[DType] = [float32]


def default_dtype() -> DType:
    """Return the default float dtype in force."""
    return _default_dtype[-1]


def set_default(dtype: DType) -> None:
    """Set the default float dtype of this process; composites look at it outside of any rule."""
    _default_dtype[0] = dtype


@contextmanager
def using_default(dtype: DType) -> Iterator[None]:
    """Let shape rules run with `dtype` as the default float dtype."""
    _default_dtype.append(dtype)
    try:
        yield
    finally:
        _default_dtype.pop()


class Signature:
    """An op, the metas of its tensors, its statics, and what follows from them.

    `needs` has bit i set where flattened tensor input i requires grad; 0 means that no node is recorded. `kinds` are the
    Python types of the numbers that vary. `outputs` are the metas of new tensors, `offsets` those of views (else None).
    """

    __slots__ = (
        "default", "fast", "float_count", "graded", "gradients", "int_count", "kept", "kept_inputs", "kept_results", "kernel",
        "kinds", "lengths", "metas", "needs", "number", "offsets", "op", "outputs", "returns_list", "statics",
        "usual", "written",
    )  # fmt: skip

    op: Op
    metas: tuple[Meta | None, ...]
    statics: tuple[Any, ...]
    kinds: tuple[type, ...]
    lengths: tuple[int, ...]
    needs: int
    default: DType
    outputs: tuple[Meta, ...]
    offsets: tuple[int, ...] | None
    returns_list: bool
    graded: tuple[int, ...]  # the outputs that a gradient may come for
    kept: tuple[str, ...]
    kept_inputs: tuple[tuple[str, int, int, bool], ...]  # of those: name, first and number of tensors, whether a list
    kept_results: tuple[tuple[str, int], ...]  # of those: name, and which output
    written: tuple[int, ...]  # the flattened tensor inputs that the call writes to
    usual: bool  # the numbers are the op's defaults, and are not sent
    float_count: int  # entries of a batch's float column that one call uses; a complex number takes two
    int_count: int
    number: int
    kernel: Any
    fast: Any  # the worker's prepared call; None where there is none, False before it is looked for
    gradients: dict[Any, Any]  # the worker's prepared gradients, by what they depend on beside the signature

    def __repr__(self) -> str:
        arguments = ", ".join("None" if meta is None else str(meta) for meta in self.metas)
        return f"{self.op.name}({arguments}{''.join(f', {value!r}' for value in self.statics)})"


def _check_static(op: Op, argument: Argument, value: Any) -> None:
    if value is None and argument.optional:
        return
    expected = {"int": int, "bool": bool, "str": str, "ScalarType": DType, "int[]": tuple, "bool[]": tuple}
    wanted = expected.get(argument.type, tuple)
    right = isinstance(value, wanted) and not (wanted is int and isinstance(value, bool))
    if right and argument.type == "int[]":
        right = all(isinstance(item, int) and not isinstance(item, bool) for item in value)
    if not right:
        got = f"tuple containing {value!r}" if wanted is tuple and isinstance(value, tuple) else type(value).__name__
        kind = {"int[]": "tuple of ints", "ScalarType": "gradwire.dtype"}.get(argument.type, argument.type)
        raise TypeError(f"{op.schema.name}(): argument '{argument.name}' must be {kind}, not {got}")


def _check(
    op: Op, metas: Sequence[Meta | None], statics: Sequence[Any], kinds: Sequence[type], lengths: Sequence[int]
) -> None:
    """Check the arguments against the schema's types, so that a shape rule sees only what it declares."""
    tensor, statics_left, kinds_left, lengths_left = 0, iter(statics), iter(kinds), iter(lengths)
    for argument in op.arguments:
        if argument.kind is Kind.STATIC:
            _check_static(op, argument, next(statics_left))
        elif argument.kind is Kind.SCALAR:
            kind = next(kinds_left)
            if kind not in _NUMBER and not (argument.optional and kind is type(None)):
                wanted = "Number" if argument.type == "Scalar" else argument.type
                raise TypeError(f"{op.schema.name}(): argument '{argument.name}' must be {wanted}, not {kind.__name__}")
        else:
            count = next(lengths_left) if argument.kind is Kind.TENSOR_LIST else 1
            absent_allowed = argument.optional or argument.element_optional
            if not absent_allowed and any(meta is None for meta in metas[tensor : tensor + count]):
                raise TypeError(f"{op.schema.name}(): argument '{argument.name}' must be Tensor, not NoneType")
            tensor += count


def resolve(
    op: Op,
    metas: tuple[Meta | None, ...],
    statics: tuple[Any, ...],
    kinds: tuple[type, ...],
    lengths: tuple[int, ...],
    needs: int,
    default: DType,
    usual: bool = False,
) -> Signature:
    """Run the shape rule of one call and return its signature; raise what PyTorch raises for bad arguments."""
    _check(op, metas, statics, kinds, lengths)
    with using_default(default):
        inferred = op.infer(*op.arrange(metas, statics, kinds, lengths))
    results = inferred if type(inferred) is tuple else (inferred,)
    signature = Signature()
    signature.op, signature.metas, signature.statics, signature.kinds = op, metas, statics, kinds
    signature.lengths, signature.default = lengths, default
    signature.returns_list = any(result.type == "Tensor[]" for result in op.schema.returns)
    signature.outputs = tuple(r.meta if isinstance(r, View) else r for r in results)
    check_sizes(signature.outputs)
    signature.offsets = tuple(r.offset for r in results) if op.is_view else None
    written = signature.outputs or metas[:1]
    signature.needs = needs & differentiable_mask(op, lengths) if _any_differentiable(written) else 0
    signature.graded = tuple(index for index, meta in enumerate(signature.outputs) if meta.dtype.is_differentiable)
    signature.kept = kept_names(op, signature.needs, lengths)
    _place_kept(signature)
    signature.written = _written(op, lengths) if op.writes else ()
    sent = () if usual else kinds
    signature.usual = usual
    signature.float_count = sent.count(float) + 2 * sent.count(complex)
    signature.int_count = sent.count(int) + sent.count(bool)
    signature.number, signature.kernel, signature.fast, signature.gradients = 0, None, False, {}
    return signature


def check_sizes(outputs: Sequence[Meta]) -> None:
    """Refuse results that no tensor can be, before anything is allocated."""
    for meta in outputs:
        # Axes without elements count as one: sizes beside an empty axis, and strides over it, must fit 64 bits too.
        if math.prod([size or 1 for size in meta.shape]) > limits.MAX_NUMEL:
            raise RuntimeError(
                f"numel: integer multiplication overflow: a tensor may have {limits.MAX_NUMEL} elements; {meta} has {meta.numel}"
            )
        if any(abs(stride) > limits.MAX_STRIDE for stride in meta.strides):
            raise RuntimeError(f"a tensor's strides must fit 64 bits; {meta} has {meta.strides}")


def _any_differentiable(metas: Sequence[Meta | None]) -> bool:
    return any(meta is not None and meta.dtype.is_differentiable for meta in metas)


def differentiable_mask(op: Op, lengths: tuple[int, ...]) -> int:
    """Return the bits of the flattened tensor inputs that the op has a gradient for."""
    mask = 0
    for name in op.differentiable:
        first, count = tensor_span(op, name, lengths)
        mask |= ((1 << count) - 1) << first
    return mask


def _written(op: Op, lengths: tuple[int, ...]) -> tuple[int, ...]:
    indices: list[int] = []
    for argument in op.arguments:
        if argument.is_written:
            first, count = tensor_span(op, argument.name, lengths)
            indices.extend(range(first, first + count))
    return tuple(indices)


def kept_names(op: Op, needs: int, lengths: tuple[int, ...]) -> tuple[str, ...]:
    """Return what a node must keep for the gradients of just those inputs that require one."""
    if not needs:
        return ()
    needed: dict[str, None] = {}
    for name, kept in op.differentiable.items():
        first, count = tensor_span(op, name, lengths)
        if needs >> first & ((1 << count) - 1):
            needed.update(dict.fromkeys(kept))
    return tuple(needed)


def _place_kept(signature: Signature) -> None:
    """Work out once where a node finds what it keeps."""
    op, inputs, results = signature.op, [], []
    for name in signature.kept:
        if name.startswith("result"):
            results.append((name, int(name[6:] or 0)))
        else:
            is_list = op.arguments[op.positions[name]].type == "Tensor[]"
            inputs.append((name, *tensor_span(op, name, signature.lengths), is_list))
    signature.kept_inputs, signature.kept_results = tuple(inputs), tuple(results)


def tensor_span(op: Op, name: str, lengths: tuple[int, ...]) -> tuple[int, int]:
    """Return (first index, count) of a tensor argument among the flattened tensors."""
    first, listed = 0, 0
    for argument in op.arguments:
        if argument.kind is Kind.TENSOR:
            count = 1
        elif argument.kind is Kind.TENSOR_LIST:
            count = lengths[listed]
            listed += 1
        else:
            continue
        if argument.name == name:
            return first, count
        first += count
    raise KeyError(name)
