"""Running calls: `Array`, the worker's tensor, and `Engine`, which checks, runs a kernel, and records.

One engine per session and device. It owns no handles and knows no wire; `store` and `session` do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gradwire_server.ops  # noqa: F401  (fills the tables of kernels and gradients)
from gradwire_protocol import infer, limits
from gradwire_protocol.dtypes import DType, float32
from gradwire_protocol.errors import KernelError
from gradwire_protocol.inplace import MULTIPLE
from gradwire_protocol.meta import Meta
from gradwire_protocol.methods import OpMethods
from gradwire_protocol.registry import Op
from gradwire_protocol.signature import Signature, differentiable_mask, resolve, using_default
from gradwire_protocol.tape import Storage, Variable, bind_view, gradient_edge, raise_versions, record, record_inplace
from gradwire_server.arranging import arranger
from gradwire_server.backend import Backend
from gradwire_server.bfloat16 import involves_bfloat16, rounded, widened_signature
from gradwire_server.rules import KERNELS, Kernel, kernel_for

__all__ = ["Array", "Engine", "Runner", "direct_numbers"]

Runner = Callable[[Sequence[Any], Sequence[Any]], Any]


class Array(Variable, OpMethods):
    """The worker's tensor: elements in the memory of a backend, plus what autograd knows of it."""

    __slots__ = ("data", "engine")

    data: Any
    engine: Engine

    def __init__(self, engine: Engine, data: Any, meta: Meta, storage: Storage | None = None) -> None:
        """Wrap `data`, whose shape and dtype are `meta`'s."""
        self.engine = engine
        self.data = data
        self.meta = meta
        self.storage = Storage() if storage is None else storage
        self.offset = 0
        self.node = None
        self.output_nr = 0
        self.leaf_requires_grad = False
        self.base = None
        self.base_version = 0
        self.view_kind = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the sizes."""
        return self.meta.shape

    @property
    def ndim(self) -> int:
        """Return the number of axes."""
        return self.meta.ndim

    @property
    def dtype(self) -> DType:
        """Return the element type."""
        return self.meta.dtype

    @property
    def requires_grad(self) -> bool:
        """Return whether a gradient goes through or into this array."""
        return gradient_edge(self) is not None

    def alias(self) -> Array:
        """Return another array on the same memory, without its graph."""
        other = Array(self.engine, self.data, self.meta, self.storage)
        other.offset = self.offset
        return other

    def kept_output(self) -> Array:
        """Return an alias: a node that held its own output would keep itself alive."""
        return self.alias()

    def _call(
        self,
        op: Op,
        tensors: tuple[Array | None, ...],
        statics: tuple[Any, ...] = (),
        scalars: tuple[Any, ...] = (),
        lengths: tuple[int, ...] = (),
    ) -> Any:
        return self.engine.call(op, tensors, statics, scalars, lengths)


class Engine:
    """Runs calls on one backend. `recording` is on while a backward with `create_graph` runs."""

    most_bytes = 0  # what its session may hold by its quotas, which programs may not pass on the way; 0 is no quota
    prepares_gradients = True  # whether its arrays hold elements, on which kernels can run without it

    def __init__(self, backend: Backend, default: DType = float32) -> None:
        """Run on `backend`; `default` is the dtype of Python floats among integers."""
        self.backend = backend
        self.default = default
        self.recording = False
        self._signatures: dict[Any, Signature] = {}

    def call(
        self,
        op: Op,
        tensors: tuple[Array | None, ...],
        statics: tuple[Any, ...],
        scalars: tuple[Any, ...],
        lengths: tuple[int, ...],
    ) -> Any:
        """Run a call that starts on the worker (inside a gradient rule), as the client's dispatch would send it."""
        needs = 0
        if self.recording:
            for index, tensor in enumerate(tensors):
                if tensor is not None and gradient_edge(tensor) is not None:
                    needs |= 1 << index
        metas = tuple([None if tensor is None else tensor.meta for tensor in tensors])
        kinds = tuple(map(type, scalars))
        key = (op, metas, statics, kinds, lengths, needs)
        signature = self._signatures.get(key)
        if signature is None:
            if len(self._signatures) >= limits.MAX_SIGNATURES:
                self._signatures.clear()
            signature = resolve(op, metas, statics, kinds, lengths, needs, self.default)
            self._signatures[key] = signature
        outputs = self.run(signature, tensors, scalars)
        if op.writes:
            return tensors[0]
        return outputs if signature.returns_list or len(outputs) > 1 else outputs[0]

    def run(self, signature: Signature, inputs: Sequence[Array | None], scalars: tuple[Any, ...]) -> tuple[Array, ...]:
        """Run one call, record it if its signature says so, and return its new arrays."""
        if signature.op.writes:
            self._write(signature, inputs, scalars)
            return ()
        results = self.execute(signature, inputs, scalars)
        if signature.op.is_view:
            return self.views(signature, inputs, results, scalars)
        outputs = tuple([self._wrap(data, meta) for data, meta in zip(results, signature.outputs, strict=True)])
        if signature.needs:
            self.learn(signature, inputs)
            record(signature, inputs, outputs, scalars)
        return outputs

    def execute(self, signature: Signature, inputs: Sequence[Array | None], scalars: tuple[Any, ...]) -> Any:
        """Run the kernel of a call on its inputs' data."""
        runner: Runner | None = signature.kernel
        if runner is None:
            runner = self.prepare(signature)
        return runner([None if array is None else array.data for array in inputs], scalars)

    @contextmanager
    def recorded(self, recording: bool) -> Iterator[None]:
        """Record calls that start on the worker, or do not, until the end of the block."""
        previous, self.recording = self.recording, recording
        try:
            yield
        finally:
            self.recording = previous

    def new(self, data: Any, meta: Meta) -> Array:
        """Wrap fresh data that no kernel made (an upload, a seed gradient)."""
        return Array(self, data, meta)

    def filled(self, like: Meta, value: int) -> Array:
        """Return a contiguous array of one number."""
        meta = Meta.of(like.shape, like.dtype)
        return Array(self, self.backend.xp.full(meta.shape, value, meta.dtype.numpy), meta)

    def copied(self, array: Array) -> Array:
        """Return a copy with memory of its own, and no graph."""
        return Array(self, array.data.copy(), Meta.of(array.meta.shape, array.meta.dtype))

    def accumulate(self, target: Array, gradient: Array) -> None:
        """Add a gradient in place."""
        self.backend.xp.add(target.data, gradient.data, out=target.data)
        target.storage.version += 1

    def _wrap(self, data: Any, meta: Meta) -> Array:
        return Array(self, self.conform(data, meta), meta)

    def conform(self, data: Any, meta: Meta) -> Any:
        """Return a kernel's result as a contiguous array; raise KernelError unless it is what was inferred."""
        if type(data) is not self.backend.array_type:
            data = self.backend.xp.asarray(data)
        if data.shape != meta.shape or data.dtype != meta.dtype.numpy:
            raise KernelError(f"a kernel must return {meta}; it returned {data.dtype}{list(data.shape)}")
        return data if data.flags.c_contiguous else self.backend.xp.ascontiguousarray(data)

    def learn(self, signature: Signature, inputs: Sequence[Array | None]) -> None:
        """Mark leaves: the client decides what requires grad, and the signature of a recorded call says it.

        It says nothing of an argument that the op has no gradient for. A view that the client made while nothing was
        recorded passes for a leaf here; that is harmless, since the client never asks for its gradient.
        """
        op, needs, lengths = signature.op, signature.needs, signature.lengths
        for index, array in enumerate(inputs):
            if array is None:
                continue
            if needs >> index & 1:
                if array.node is None and not array.leaf_requires_grad:
                    array.leaf_requires_grad = gradient_edge(array) is None
            elif array.leaf_requires_grad and differentiable_mask(op, lengths) >> index & 1:
                array.leaf_requires_grad = False

    def views(
        self, signature: Signature, inputs: Sequence[Array | None], results: Any, scalars: tuple[Any, ...]
    ) -> tuple[Array, ...]:
        """Make arrays of the views that a kernel returned, and record the call if its signature says so."""
        viewed = inputs[0]
        assert viewed is not None
        assert signature.offsets is not None
        outputs = []
        for data, meta, offset in zip(results, signature.outputs, signature.offsets, strict=True):
            if data.shape != meta.shape:
                raise KernelError(f"{signature.op.name} must view as {meta}; it returned {list(data.shape)}")
            view = Array(self, data, meta, viewed.storage)
            view.offset = viewed.offset + offset
            outputs.append(view)
        if signature.op.name == "detach":
            return tuple(outputs)
        if signature.needs:
            self.learn(signature, inputs)
            record(signature, inputs, outputs, scalars)
        for view in outputs:
            bind_view(view, viewed, MULTIPLE if signature.returns_list else "")
        return tuple(outputs)

    def _write(self, signature: Signature, inputs: Sequence[Array | None], scalars: tuple[Any, ...]) -> None:
        self_ = inputs[0]
        original = None
        if signature.needs and "self" in signature.kept:
            assert self_ is not None
            original = self.copied(self_)
        self.execute(signature, inputs, scalars)
        if signature.needs:
            self.learn(signature, inputs)
            record_inplace(signature, inputs, original, scalars)
            return
        raise_versions(signature, inputs)

    def prepare(self, signature: Signature) -> Runner:
        """Choose the kernel of a signature and close over all that does not vary."""
        op = signature.op
        found = kernel_for(op, self.backend.name)
        if found is None:
            raise KernelError(f"an op needs a kernel to run; {op.name} has none on backend {self.backend.name}")
        make = _pointwise_runner if found.is_pointwise else _plain_runner
        if involves_bfloat16(signature):
            runner = rounded(signature, make(widened_signature(signature), found, self.backend.xp))
        else:
            runner = make(signature, found, self.backend.xp)
        signature.kernel = runner
        return runner


def _plain_runner(signature: Signature, found: Kernel, xp: Any) -> Runner:
    op, function, arrange = signature.op, found.function, arranger(signature)
    single = len(signature.outputs) == 1 and not signature.returns_list
    extra: dict[str, Any] = {}
    if found.wants_result:
        extra["result"] = signature.outputs[0] if single else signature.outputs

    def run(data: Sequence[Any], scalars: Sequence[Any]) -> Any:
        results = function(xp, *arrange(data, scalars), **extra)
        return (results,) if single else results

    def write_back(data: Sequence[Any], scalars: Sequence[Any]) -> None:
        data[0][...] = function(xp, *arrange(data, scalars), **extra)

    # An in-place op without a kernel of its own runs its functional form and stores the result.
    return write_back if op.functional is not None and found is KERNELS.get(op.functional.name) else run


def _compute_dtype(signature: Signature, found: Kernel) -> tuple[DType, DType]:
    """Return (dtype to compute in, dtype of the result) of a pointwise call."""
    op, arguments = signature.op, []
    for value in op.arrange(signature.metas, signature.statics, signature.kinds, signature.lengths):
        if isinstance(value, Meta | type):
            arguments.append(value)
    if found.compares:
        assert signature.metas[0] is not None
        written = bool(signature.op.functional)
        return infer.result_type(*arguments), signature.metas[0].dtype if written else signature.outputs[0].dtype
    if op.functional is not None:
        assert signature.metas[0] is not None
        result = op.functional.infer(
            *op.arrange(signature.metas, signature.statics, signature.kinds, signature.lengths)
        )
        return result.dtype, signature.metas[0].dtype
    return signature.outputs[0].dtype, signature.outputs[0].dtype


def _casts(signature: Signature, compute: DType) -> tuple[int, ...]:
    """Return the inputs of a pointwise call that are not in the compute dtype."""
    takes_condition = signature.op.arguments[0].name == "condition"
    return tuple(
        index for index, meta in enumerate(signature.metas)
        if meta is not None and meta.dtype is not compute and not (index == 0 and takes_condition)
    )  # fmt: skip


def direct_numbers(signature: Signature, numbers: Sequence[Any], xp: Any) -> list[Any] | None:
    """Return a functional pointwise call's numbers as its kernel takes them; None if its inputs must be cast first."""
    found = KERNELS.get(signature.op.name)
    if found is None or not found.is_pointwise or signature.op.writes or involves_bfloat16(signature):
        return None
    with using_default(signature.default):
        compute, _ = _compute_dtype(signature, found)
    if _casts(signature, compute):
        return None
    return [_in_dtype(xp, compute.numpy, value) for value in numbers]


def _pointwise_runner(signature: Signature, found: Kernel, xp: Any) -> Runner:
    """Cast inputs to the compute dtype, run, and for an in-place op write the result back."""
    with using_default(signature.default):
        compute, stored = _compute_dtype(signature, found)
    op, function, arrange = signature.op, found.function, arranger(signature)
    dtype = compute.numpy
    casts = _casts(signature, compute)
    kinds = signature.kinds

    def run(data: Sequence[Any], scalars: Sequence[Any]) -> Any:
        if casts:
            data = [array.astype(dtype) if index in casts else array for index, array in enumerate(data)]
        numbers = [_in_dtype(xp, dtype, value) for value in scalars] if kinds else scalars
        return (function(xp, *arrange(data, numbers)),)

    if not op.writes:
        return run

    # One ufunc copes with an output that is also its input; a kernel of several steps would read what it just wrote.
    direct = bool(found.ufunc) and compute is stored and not found.compares

    def write(data: Sequence[Any], scalars: Sequence[Any]) -> None:
        target = data[0]
        if direct and not casts:
            numbers = [_in_dtype(xp, dtype, value) for value in scalars] if kinds else scalars
            function(xp, *arrange(data, numbers), out=target)
        else:
            target[...] = run(data, scalars)[0].astype(stored.numpy)

    return write


def _in_dtype(xp: Any, dtype: Any, value: Any) -> Any:
    """Return a Python number as the compute dtype holds it: integers wrap as in PyTorch instead of raising."""
    if value is None or dtype.kind in "fc" or isinstance(value, float | complex):
        return value
    return dtype.type(value) if dtype.kind == "b" else _wrapped(dtype, value)


def _wrapped(dtype: Any, value: int) -> Any:
    bits = dtype.itemsize * 8
    low = value & ((1 << bits) - 1)
    return dtype.type(low - (1 << bits) if dtype.kind == "i" and low >> (bits - 1) else low)
