"""`TracingEngine`: runs calls on values without elements, and notes the kernel calls that it would have made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire_protocol.dtypes import DType
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops import OPS
from gradwire_protocol.signature import Signature
from gradwire_server.backend import Backend
from gradwire_server.engine import Array, Engine
from gradwire_server.programs.values import Step, Value

__all__ = ["TracingEngine"]

_FULL, _CLONE, _ADD = OPS["full"], OPS["clone"], OPS["add_.Tensor"]


class TracingEngine(Engine):
    """An engine whose arrays hold a `Value` in place of elements."""

    prepares_gradients = False

    def __init__(self, backend: Backend, default: DType) -> None:
        """Trace for a backend."""
        super().__init__(backend, default)
        self.steps: list[Step] = []
        self.origin = 0
        self._count = 0

    def value(self, meta: Meta, viewed: Value | None = None, constant: Any = None) -> Value:
        """Make the next value."""
        self._count += 1
        return Value(self._count - 1, meta, viewed, constant)

    def execute(self, signature: Signature, inputs: Sequence[Array | None], scalars: tuple[Any, ...]) -> Any:
        """Note a kernel call."""
        values = tuple([None if array is None else array.data for array in inputs])
        viewed = values[0] if signature.op.is_view else None
        outputs = tuple([self.value(meta, viewed) for meta in signature.outputs])
        self.steps.append(Step(signature, values, scalars, outputs, self.origin))
        return outputs

    def _wrap(self, data: Any, meta: Meta) -> Array:
        return Array(self, data, meta)

    def filled(self, like: Meta, value: int) -> Array:
        """Note the making of an array of one number."""
        with self.recorded(False):
            made: Array = self.call(_FULL, (), (like.shape, like.dtype), (value,), ())
        return made

    def copied(self, array: Array) -> Array:
        """Note a copy."""
        with self.recorded(False):
            made: Array = self.call(_CLONE, (array,), (), (), ())
        return made

    def accumulate(self, target: Array, gradient: Array) -> None:
        """Note an addition in place."""
        with self.recorded(False):
            self.call(_ADD, (target, gradient), (), (1,), ())
