"""The source of a fusion's kernel: a thread takes an element through all steps, and only what is read outside is stored.

Compiled with `OPTIONS`, which keep the compiler from joining a product with a sum: each step rounds as it does alone. Not
yet run on a GPU. What is tested: that NVRTC takes the sources, and, compiled for the host, that they give what the steps give.
"""

from __future__ import annotations

from gradwire_protocol.dtypes import DType, bool_, float32, float64
from gradwire_protocol.meta import Meta
from gradwire_protocol.program import Varying
from gradwire_server.programs.cuda.expressions import EXPRESSIONS, HELPERS, Number, Unwritable
from gradwire_server.programs.fusion import COLUMN, NUMBER, ROW, WHOLE, Fusion
from gradwire_server.programs.values import Step, Value

__all__ = ["NAME", "OPTIONS", "is_writable", "kernel_source"]

NAME = "fused"
OPTIONS = ("--fmad=false",)

_TYPES: dict[DType, str] = {float32: "float", float64: "double", bool_: "bool"}
_INDEX = {WHOLE: "i", ROW: "i % columns", COLUMN: "i / columns", NUMBER: "0"}


def is_writable(step: Step) -> bool:
    """Return whether a step can be part of a generated kernel."""
    metas = [value.meta for value in (*step.inputs, *step.outputs) if value is not None]
    if any(meta.dtype not in _TYPES for meta in metas):
        return False
    try:
        _expression(step, {value: "v" for value in step.inputs if value is not None})
    except Unwritable:
        return False
    return True


def kernel_source(fusion: Fusion) -> str:
    """Return a kernel of (count, columns, inputs..., outputs...): `count` elements seen as rows of `columns`."""
    operands = (*fusion.inputs, *fusion.outputs)
    names = {value: f"v{number}" for number, value in enumerate(dict.fromkeys((*operands, *fusion.inner)))}
    parameters = [f"const {_type(value.meta)}* p{number}" for number, value in enumerate(fusion.inputs)]
    first = len(fusion.inputs)
    parameters += [f"{_type(value.meta)}* p{number}" for number, value in enumerate(fusion.outputs, first)]
    body = [
        f"const {_type(value.meta)} {names[value]} = p{number}[{_INDEX[fusion.kind(value.meta)]}];"
        for number, value in enumerate(fusion.inputs)
    ]
    for step in fusion.steps:
        made = step.outputs[0]
        body.append(
            f"{_type(made.meta)} {names[made]}; {{ typedef {_compute_type(step)} T; {names[made]} = "
            f"{_expression(step, names)}; }}"
        )
    body += [f"p{number}[i] = {names[value]};" for number, value in enumerate(fusion.outputs, first)]
    lines = "\n        ".join(body)
    return f"""{HELPERS}
extern "C" __global__ void {NAME}(const long long count, const long long columns, {", ".join(parameters)}) {{
    const long long stride = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += stride) {{
        {lines}
    }}
}}
"""


def _type(meta: Meta) -> str:
    return _TYPES[meta.dtype]


def _compute_type(step: Step) -> str:
    """Return what a step computes in: its floating operands' type."""
    metas = [value.meta for value in (*step.inputs, *step.outputs) if value is not None]
    return next((_type(meta) for meta in metas if meta.dtype.is_floating_point), "bool")


def _expression(step: Step, names: dict[Value, str]) -> str:
    write = EXPRESSIONS.get(step.signature.op.name)
    if write is None or any(isinstance(number, Varying) for number in step.numbers):
        raise Unwritable(step.signature.op.name)
    signature = step.signature
    arguments = signature.op.arrange(
        [None if value is None else names[value] for value in step.inputs],
        signature.statics, [None if number is None else Number(number) for number in step.numbers], signature.lengths,
    )  # fmt: skip
    return write(*arguments)
