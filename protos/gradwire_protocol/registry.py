"""The table of ops: schema, shape rule, and what each gradient needs kept.

An op is declared once, by `op(...)` in `gradwire_protocol.ops`, and everything else hangs from it: the generated
methods, the client's inference, the worker's check. Mistakes in a declaration surface at import.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gradwire_protocol.dtypes import Category, DType
from gradwire_protocol.meta import Meta
from gradwire_protocol.schema import Argument, Kind, Schema, parse

__all__ = ["OPS", "Op", "Rule", "check_no_overlap", "control", "op", "table_digest", "torch_type_name"]

# A shape rule takes the arguments in schema order: a Meta for a tensor, a tuple of them for a list, the Python *type* for a
# number that varies, the value for a static. It returns a Meta, a View, or a tuple of either; () for no new tensor.
Rule = Callable[..., Any]

OPS: dict[str, Op] = {}

_NO_NUMBER = object()


class Op:
    """One declared op. Calling it binds arguments by schema and hands them to the first tensor's `_call`."""

    __slots__ = (
        "arguments", "differentiable", "functional", "infer", "is_awaited", "is_control", "is_heavy", "is_pointwise", "is_view",
        "kept", "name", "node_name", "positions", "schema", "usual", "usual_kinds", "usual_number", "writes",
    )  # fmt: skip

    schema: Schema
    name: str
    arguments: tuple[Argument, ...]
    infer: Rule
    differentiable: Mapping[str, tuple[str, ...]]
    kept: tuple[str, ...]
    functional: Op | None
    is_view: bool
    is_pointwise: bool
    is_control: bool
    is_heavy: bool  # worth a message of its own
    is_awaited: bool  # by another worker
    node_name: str
    writes: bool
    positions: Mapping[str, int]
    usual: tuple[Any, ...]  # the defaults of its numbers, if each has one: calls with just these do not send them
    usual_kinds: tuple[type, ...]
    usual_number: Any  # the usual number of an op that has just one; else what no argument is

    def __init__(self, schema: Schema, infer: Rule, keeps: Mapping[str, str]) -> None:
        """Check a declaration against its schema; raise ValueError where they disagree."""
        self.schema = schema
        self.name = schema.full_name
        self.arguments = schema.arguments
        self.infer = infer
        self.differentiable = {name: tuple(needed.split()) for name, needed in keeps.items()}
        self.kept = tuple(dict.fromkeys(name for needed in self.differentiable.values() for name in needed))
        self.functional = None
        self.is_pointwise = self.is_control = self.is_heavy = self.is_awaited = False
        self.writes = any(argument.is_written for argument in schema.arguments)
        self.is_view = not self.writes and any(result.alias for result in schema.returns)
        self.node_name = _node_name(schema.name)
        numbers = [argument for argument in schema.arguments if argument.kind is Kind.SCALAR]
        has_usual = all(argument.has_default for argument in numbers)
        self.usual = tuple(argument.default for argument in numbers) if has_usual else ()
        self.usual_kinds = tuple(map(type, self.usual))
        self.usual_number = self.usual[0] if len(self.usual) == 1 else _NO_NUMBER
        self.positions = {argument.name: index for index, argument in enumerate(schema.arguments)}
        self._check()

    def _check(self) -> None:
        tensors = {a.name for a in self.arguments if a.kind in (Kind.TENSOR, Kind.TENSOR_LIST)}
        results = {"result", *(f"result{index}" for index in range(len(self.schema.returns)))}
        unknown = (set(self.differentiable) - tensors) | (set(self.kept) - tensors - results)
        if unknown:
            raise ValueError(f"{self.name}: keeps must name tensors of the schema; got {', '.join(sorted(unknown))}")

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """Return the arguments in schema order with defaults filled; raise TypeError in Python's words."""
        positional = sum(not argument.keyword_only for argument in self.arguments)
        if len(args) > positional:
            raise TypeError(f"{self.schema.name}() takes {positional} positional arguments but {len(args)} were given")
        bound = list(args)
        for argument in self.arguments[len(args) :]:
            if argument.name in kwargs:
                bound.append(kwargs[argument.name])
            elif argument.has_default:
                bound.append(argument.default)
            else:
                raise TypeError(f"{self.schema.name}() missing required argument: {argument.name!r}")
        unknown = set(kwargs) - {argument.name for argument in self.arguments[len(args) :]}
        if unknown:
            raise TypeError(f"{self.schema.name}() got an unexpected keyword argument {min(unknown)!r}")
        return bound

    def split(self, bound: Sequence[Any]) -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...], tuple[int, ...]]:
        """Sort bound arguments into (tensors, statics, scalars, list lengths), as `_call` takes them."""
        tensors: list[Any] = []
        statics: list[Any] = []
        scalars: list[Any] = []
        lengths: list[int] = []
        for argument, value in zip(self.arguments, bound, strict=True):
            if argument.kind is Kind.TENSOR:
                tensors.append(value)
            elif argument.kind is Kind.TENSOR_LIST:
                tensors.extend(value)
                lengths.append(len(value))
            elif argument.kind is Kind.SCALAR:
                scalars.append(value)
            else:
                statics.append(tuple(value) if isinstance(value, list) else value)
        return tuple(tensors), tuple(statics), tuple(scalars), tuple(lengths)

    def arrange(
        self, tensors: Sequence[Any], statics: Sequence[Any], scalars: Sequence[Any], lengths: Sequence[int]
    ) -> list[Any]:
        """Undo `split`: return the arguments in schema order, tensor lists as tuples."""
        if not statics and not scalars and not lengths:
            return list(tensors)
        arguments: list[Any] = []
        tensor = static = scalar = listed = 0
        for argument in self.arguments:
            if argument.kind is Kind.TENSOR:
                arguments.append(tensors[tensor])
                tensor += 1
            elif argument.kind is Kind.STATIC:
                arguments.append(statics[static])
                static += 1
            elif argument.kind is Kind.SCALAR:
                arguments.append(scalars[scalar])
                scalar += 1
            else:
                arguments.append(tuple(tensors[tensor : tensor + lengths[listed]]))
                tensor += lengths[listed]
                listed += 1
        return arguments

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the op on bound arguments; the first tensor among them decides where it runs."""
        tensors, statics, scalars, lengths = self.split(self.bind(args, kwargs))
        for tensor in tensors:
            if tensor is not None:
                return tensor._call(self, tensors, statics, scalars, lengths)
        raise TypeError(f"{self.schema.name}() needs at least one tensor argument; got none")


def _node_name(name: str) -> str:
    words = re.sub(r"^.*::", "", name).strip("_").split("_")
    return "".join(word[:1].upper() + word[1:] for word in words) + "Backward0"


def op(
    schema: str,
    infer: Rule,
    keeps: Mapping[str, str] | None = None,
    *,
    node: str | None = None,
    pointwise: bool = False,
    inplace: bool = False,
) -> Op:
    """Declare an op, and with `inplace=True` its `name_` form too.

    `keeps` maps each differentiable argument to the space-separated names (arguments, or `result`) that its gradient
    reads; an op without it is not differentiable. `node` is the number that PyTorch puts behind `Backward`.
    """
    declared = _register(Op(parse(schema), infer, keeps or {}))
    declared.is_pointwise = pointwise
    if node is not None:
        declared.node_name = node
    if inplace:
        _inplace(declared)
    return declared


def control(schema: str, infer: Rule, *, heavy: bool = False, awaited: bool = False) -> Op:
    """Declare an op of the `gw::` namespace that the worker's session runs itself, without a kernel."""
    declared = _register(Op(parse(schema), infer, {}))
    declared.is_control = True
    declared.is_heavy, declared.is_awaited = heavy or awaited, awaited
    return declared


def _register(declared: Op) -> Op:
    if declared.name in OPS:
        raise ValueError(f"an op is declared once; {declared.name} was declared twice")
    OPS[declared.name] = declared
    table_digest.cache_clear()
    return declared


_TORCH_NAMES = {
    "bool": "Bool", "uint8": "Byte", "int8": "Char", "int16": "Short", "int32": "Int", "int64": "Long", "float16": "Half",
    "bfloat16": "BFloat16", "float32": "Float", "float64": "Double", "complex64": "ComplexFloat", "complex128": "ComplexDouble",
}  # fmt: skip


def torch_type_name(dtype: DType) -> str:
    """Return the word that PyTorch's messages use for a dtype: `Float`, `Long`, ..."""
    return _TORCH_NAMES[dtype.name]


def _check_written(name: str, self: Meta, result: Meta) -> None:
    """Refuse what an in-place op cannot store, in PyTorch's words."""
    if result.shape != self.shape:
        raise RuntimeError(
            f"output with shape {list(self.shape)} doesn't match the broadcast shape {list(result.shape)}"
        )
    into, given = self.dtype.category, result.dtype.category
    if given > into and (given > Category.INT or into is Category.BOOL):
        raise RuntimeError(
            f"result type {torch_type_name(result.dtype)} can't be cast to the desired output type "
            f"{torch_type_name(self.dtype)}"
        )
    check_no_overlap(self)


def check_no_overlap(self: Meta) -> None:
    """Refuse to write to a tensor whose elements share memory (an expanded one), in PyTorch's words."""
    if any(stride == 0 and size > 1 for size, stride in zip(self.shape, self.strides, strict=True)):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory "
            "location. Please clone() the tensor before performing the operation."
        )


def _inplace(functional: Op) -> Op:
    schema = functional.schema
    head, _, rest = schema.text.partition("(Tensor self")
    name, dot, overload = head.partition(".")
    text = f"{name}_{dot}{overload}(Tensor(a!) self{rest.rpartition(' -> ')[0]} -> Tensor(a!)"

    def infer(self: Meta, *rest: Any) -> tuple[()]:
        _check_written(schema.name, self, functional.infer(self, *rest))
        return ()

    declared = _register(Op(parse(text), infer, {k: " ".join(v) for k, v in functional.differentiable.items()}))
    declared.functional = functional
    declared.is_pointwise = functional.is_pointwise
    declared.node_name = functional.node_name
    return declared


@functools.cache
def table_digest() -> bytes:
    """Return a digest of every declaration; the handshake compares it, so that both sides mean the same ops."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(OPS):
        declared = OPS[name]
        keeps = ";".join(f"{arg}:{','.join(kept)}" for arg, kept in declared.differentiable.items())
        digest.update(f"{declared.schema.text}|{keeps}\n".encode())
    return digest.digest()
