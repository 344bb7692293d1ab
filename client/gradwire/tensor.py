"""`Tensor`: a handle, a meta, and autograd's outline. Values are on the worker.

The one road to the wire is `Tensor._call`: infer by the shape rule (or find it in the cache), append the call, make the
outputs, record. Nothing in it waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gradwire.autocasting import cast_inputs
from gradwire.autocasting import state as autocast_state
from gradwire.autograd.anomaly_mode import mode as anomaly_mode
from gradwire.autograd.anomaly_mode import remember
from gradwire.autograd.grad_mode import inference_mode
from gradwire.autograd.grad_mode import state as grad_state
from gradwire.autograd.methods import AutogradMethods
from gradwire.autograd.saved_tensors import pack_recorded
from gradwire.autograd.saved_tensors import state as saved_state
from gradwire.casts import CastMethods
from gradwire.conversion import ConversionMethods
from gradwire.data_dependent import DataDependentMethods
from gradwire.detached_views import DetachedViewMethods, keep_whole
from gradwire.inference import InferenceStorage, check_kept, check_written
from gradwire.interop import ArrayMethods
from gradwire.memory import MemoryMethods
from gradwire.new_methods import NewMethods
from gradwire.properties import PropertyMethods
from gradwire.random import RandomMethods
from gradwire.reshaping import ReshapingMethods
from gradwire.shape_methods import ShapeMethods
from gradwire.sparse_methods import SparseMeta, SparseMethods, run_sparse
from gradwire.spectra import SpectralMethods
from gradwire.subclasses import SubclassMethods
from gradwire_protocol.dtypes import DType, float32
from gradwire_protocol.inplace import INFERENCE, MULTIPLE, NO_GRAD, check_inplace, check_overlap, requires_grad
from gradwire_protocol.meta import Meta
from gradwire_protocol.methods import OpMethods
from gradwire_protocol.registry import OPS, Op
from gradwire_protocol.schema import Kind
from gradwire_protocol.signature import Signature, resolve, set_default
from gradwire_protocol.tape import (
    Storage,
    Variable,
    bind_view,
    gradient_edge,
    raise_versions,
    record,
    record_inplace,
)

if TYPE_CHECKING:
    from gradwire.session import Session
    from gradwire_protocol.v1 import tensor_pb2

__all__ = ["Tensor", "call", "expect_tensor", "get_default_dtype", "set_default_dtype"]

_ALIAS = OPS["alias"]
_NUMBERS = frozenset((bool, int, float, complex, type(None)))
_default_dtype = float32


def get_default_dtype() -> DType:
    """Return the dtype of new floating-point tensors."""
    return _default_dtype


def set_default_dtype(dtype: DType) -> None:
    """Set the dtype of new floating-point tensors; raise TypeError unless it is a floating one."""
    global _default_dtype
    if not isinstance(dtype, DType) or not dtype.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    _default_dtype = dtype
    set_default(dtype)


class Tensor(
    Variable,
    ArrayMethods,
    CastMethods,
    MemoryMethods,
    NewMethods,
    PropertyMethods,
    AutogradMethods,
    ConversionMethods,
    DataDependentMethods,
    DetachedViewMethods,
    RandomMethods,
    ReshapingMethods,
    ShapeMethods,
    SparseMethods,
    SpectralMethods,
    SubclassMethods,
    OpMethods,
):
    """A tensor on a worker, with PyTorch's Tensor API."""

    __slots__ = ("__dict__", "_grad", "_retains_grad", "handle", "session", "within")

    handle: int
    session: Session
    _grad: Tensor | None
    _retains_grad: bool

    def __new__(cls, *data: Any, device: Any = None) -> Any:
        """Return what `torch.Tensor(*data)` does: `Tensor([1, 2])`, `Tensor(2, 3)`; `gradwire.tensor` is the usual way."""
        from gradwire import creation

        return creation.legacy_tensor(data, device)

    @classmethod
    def _make(cls, session: Session, handle: int, meta: Meta, storage: Storage | None = None) -> Any:
        made = object.__new__(cls)
        made.session = session
        made.handle = handle
        made.meta = meta
        if storage is None:
            storage = InferenceStorage() if grad_state.inference else Storage()
        made.storage = storage
        made.offset = 0
        made.node = None
        made.output_nr = 0
        made.leaf_requires_grad = False
        made.base = None
        made.base_version = 0
        made.view_kind = ""
        made._grad = None
        made._retains_grad = False
        return made

    def announce(self) -> None:
        """Tell the worker that this leaf requires grad, which it otherwise learns from the first recorded call on it."""
        with inference_mode(False):
            self._call(_ALIAS, (self,))

    def __del__(self) -> None:
        # Only an append: an RPC, or a lock, inside a finalizer could run anywhere, a send included.
        try:  # noqa: SIM105  (a context manager would cost more than all the rest)
            self.session.released.append(self.handle)
        except AttributeError:  # an object that was never completed, or gave its handle away
            pass

    def _call(
        self,
        op: Op,
        tensors: tuple[Any, ...],
        statics: tuple[Any, ...] = (),
        scalars: tuple[Any, ...] = (),
        lengths: tuple[int, ...] = (),
    ) -> Any:
        session = self.session
        key: Any = None
        if (
            not statics and not lengths and not autocast_state.active
            and (not scalars or (len(scalars) == 1 and scalars[0] is op.usual_number))
        ):  # fmt: skip
            key = _plain_key(op, tensors)
            signature = session.signatures.get(key)
            if signature is not None:
                return _append(session, signature, tensors, scalars)
        return self._call_new(key, op, tensors, statics, scalars, lengths)

    def _call_new(
        self, plain_key: Any, op: Op, tensors: tuple[Any, ...], statics: tuple[Any, ...], scalars: tuple[Any, ...],
        lengths: tuple[int, ...],
    ) -> Any:  # fmt: skip
        """Call what has no plain key, or none that is known."""
        session = self.session
        try:
            metas = tuple([None if tensor is None else tensor.meta for tensor in tensors])
        except AttributeError:
            raise _not_a_tensor(op, tensors) from None
        if autocast_state.active:
            tensors = cast_inputs(op, tensors)
            metas = tuple([None if tensor is None else tensor.meta for tensor in tensors])
        if op.writes:
            _check_write(op, tensors)
        needs = _needs(tensors) if op.differentiable and grad_state.recording else 0
        kinds: Any = tuple(map(type, scalars)) if scalars else ()
        if kinds and kinds == op.usual_kinds and scalars == op.usual:
            kinds = True
        key = (op, metas, statics, kinds, lengths, needs, _default_dtype)
        try:
            signature = session.signatures.get(key)
        except TypeError:
            signature = None
        if signature is None:
            if SparseMeta in map(type, metas):  # asked here alone: a dense call pays once for each signature
                return run_sparse(op, tensors, statics, scalars, lengths)
            if not _NUMBERS.issuperset(map(type, scalars)):
                return self._call(op, tensors, statics, tuple(map(_number, scalars)), lengths)
            signature = _intern(session, key, op, metas, statics, scalars, lengths, needs)
        if op.writes:
            return _write(session, signature, tensors, scalars)
        if plain_key is not None:
            session.signatures[plain_key] = signature
        return _append(session, signature, tensors, scalars)


def _plain_key(op: Op, tensors: tuple[Any, ...]) -> Any:
    """Return what the signature of a plain call follows from: of one or two tensors, neither a view. None for others.

    It is looked up before the full key, which takes as long to make as all the rest of a call of tiny tensors.
    """
    if op.writes:
        return None
    try:
        if len(tensors) == 2:
            first, second = tensors
            if first.base is not None or second.base is not None:
                return None
            needs = 1 if first.node is not None or first.leaf_requires_grad else 0
            if second.node is not None or second.leaf_requires_grad:
                needs += 2
            if needs and not grad_state.recording:
                needs = 0
            return op, first.meta, second.meta, needs, _default_dtype
        (only,) = tensors
        if only.base is not None:
            return None
        needs = only.node is not None or only.leaf_requires_grad
        return op, only.meta, needs and grad_state.recording, _default_dtype
    except (AttributeError, ValueError):  # no tensor, or more than two
        return None


def _append(session: Session, signature: Signature, tensors: tuple[Any, ...], scalars: tuple[Any, ...]) -> Any:
    """Append a call that writes to none of its tensors, make its results, and record it."""
    if signature.kept:
        check_kept(signature, tensors)
    first = session.append(signature, tensors, scalars, frames=5)
    if signature.op.is_view:
        return _views(session, signature, tensors, first, scalars)
    if len(signature.outputs) == 1:
        outputs: tuple[Any, ...] = (Tensor._make(session, first, signature.outputs[0]),)
    else:
        outputs = tuple([Tensor._make(session, first + i, meta) for i, meta in enumerate(signature.outputs)])
    if signature.needs:
        record(signature, tensors, outputs, scalars)
        if anomaly_mode.enabled:
            remember(outputs)
        if saved_state.pair is not None:
            pack_recorded(outputs)
    return outputs if len(outputs) != 1 or signature.returns_list else outputs[0]


def _needs(tensors: tuple[Any, ...]) -> int:
    needs = 0
    for index, tensor in enumerate(tensors):
        if tensor is None:
            continue
        if tensor.base is None:
            if tensor.node is not None or tensor.leaf_requires_grad:
                needs |= 1 << index
        elif gradient_edge(tensor) is not None or requires_grad(tensor):
            # Asked for its edge first, which raises for a view that has none any more, before anything is sent.
            needs |= 1 << index
    return needs


def _not_a_tensor(op: Op, tensors: tuple[Any, ...]) -> TypeError:
    wrong = next(value for value in tensors if value is not None and not isinstance(value, Tensor))
    names = [argument.name for argument in op.arguments if argument.type == "Tensor"]
    position = next(i for i, v in enumerate(tensors) if v is wrong) if len(names) == len(tensors) else 0
    name = names[position] if names else "tensors"
    return TypeError(
        f"{op.schema.name}(): argument '{name}' (position {position + 1}) must be Tensor, not {type(wrong).__name__}"
    )


def _number(value: Any) -> Any:
    """Return a varying number as a plain Python one: numpy scalars, and 0-dim tensors at the cost of a wait."""
    if isinstance(value, np.generic) or (isinstance(value, Tensor) and value.meta.numel == 1):
        return value.item()
    for kind in (bool, int, float, complex):
        if isinstance(value, kind):
            convert: Any = kind
            return convert(value)
    raise TypeError(f"a number (bool, int, float or complex) is needed; got {type(value).__name__}")


def _intern(
    session: Session, key: Any, op: Op, metas: Any, statics: Any, scalars: Any, lengths: Any, needs: int
) -> Signature:
    kinds = tuple(map(type, scalars))
    # First the schema's check, which names an argument of the wrong type; then the key can be hashed.
    signature = resolve(op, metas, statics, kinds, lengths, needs, _default_dtype, key[3] is True)
    return session.intern(key, signature)


def _views(
    session: Session, signature: Signature, tensors: tuple[Any, ...], first: int, scalars: tuple[Any, ...]
) -> Any:
    viewed = tensors[0]
    assert signature.offsets is not None
    outputs = []
    for index, (meta, offset) in enumerate(zip(signature.outputs, signature.offsets, strict=True)):
        view = Tensor._make(session, first + index, meta, viewed.storage)
        view.offset = viewed.offset + offset
        outputs.append(view)
    if signature.op.name != "detach":
        if signature.needs:
            record(signature, tensors, outputs, scalars)
            if anomaly_mode.enabled:
                remember(outputs)
            if saved_state.pair is not None:
                pack_recorded(outputs)
        kind = _view_kind(signature.returns_list)
        for view in outputs:
            bind_view(view, viewed, kind)
    elif viewed.base is not None or hasattr(viewed, "within"):
        keep_whole(outputs[0], viewed)
    return tuple(outputs) if signature.returns_list else outputs[0]


def _view_kind(multiple: bool) -> str:
    if grad_state.recording:
        return MULTIPLE if multiple else ""
    return INFERENCE if grad_state.inference else NO_GRAD


def _write(session: Session, signature: Signature, tensors: tuple[Any, ...], scalars: tuple[Any, ...]) -> Any:
    if signature.kept:
        check_kept(signature, tensors)
    if not grad_state.inference:
        check_written(signature, tensors)
    session.append(signature, tensors, scalars)
    if signature.needs:
        record_inplace(signature, tensors, None, scalars)
        if anomaly_mode.enabled:
            remember(tensors[:1])
        if saved_state.pair is not None:
            pack_recorded(tensors[:1], is_write=True)
    else:
        raise_versions(signature, tensors)
    return tensors[0] if tensors else None


def _check_write(op: Op, tensors: tuple[Any, ...]) -> None:
    """Refuse a write that autograd or shared memory forbids; as in PyTorch, before shapes are looked at."""
    if op.arguments[0].kind is not Kind.TENSOR:
        return
    self = tensors[0]
    recordable = op.differentiable and grad_state.recording and self.meta.dtype.is_differentiable
    if recordable and any(tensor is not None and requires_grad(tensor) for tensor in tensors):
        check_inplace(self)
    if len(tensors) > 1:
        check_overlap(self, tensors[1:])


def call(op: Op, *args: Any, session: Session | None = None, data: tensor_pb2.InlineTensor | None = None) -> Any:
    """Run an op that has no tensor to be called on (creation, random, control), given all arguments in schema order.

    Nothing is recorded.
    """
    from gradwire import session as sessions

    session = session or sessions.current()
    tensors, statics, scalars, lengths = op.split(args)
    metas = tuple([None if tensor is None else tensor.meta for tensor in tensors])
    if not _NUMBERS.issuperset(map(type, scalars)):
        scalars = tuple(map(_number, scalars))
    key = (op, metas, statics, tuple(map(type, scalars)), lengths, 0, _default_dtype)
    signature = session.signatures.get(key)
    if signature is None:
        if SparseMeta in map(type, metas):
            return run_sparse(op, tensors, statics, scalars, lengths)
        signature = _intern(session, key, op, metas, statics, scalars, lengths, 0)
    first = session.append(signature, tensors, scalars, data)
    if op.writes and not op.is_control:
        raise_versions(signature, tensors)
    outputs = tuple([Tensor._make(session, first + i, meta) for i, meta in enumerate(signature.outputs)])
    return outputs if len(outputs) != 1 or signature.returns_list else outputs[0]


def expect_tensor(name: str, value: Any) -> Tensor:
    """Return `value` if it is a Tensor; raise PyTorch's TypeError if not."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(value).__name__}")
    return value
