"""Programs in files: what `load` needs to run them without the user's Python.

A file is a safetensors file: the encoded programs as bytes, the tensors that they read and that are no arguments, and in the
metadata under "gradwire" a JSON object that says what each input, number and result is. See `loading` for its reader.
"""

from __future__ import annotations

import inspect
import json
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradwire.conversion import fetch
from gradwire.generators import default_generator
from gradwire.nn.module import Module
from gradwire.programs.capture import Capture, Result, Source, Unfit, name_of
from gradwire.programs.recording import Draw, Scheduled, Update
from gradwire.programs.replay import Replay, tensor_at
from gradwire.safetensors import write_safetensors
from gradwire.tensor import Tensor
from gradwire.tree import TreeSpec
from gradwire_protocol.meta import Meta
from gradwire_protocol.schema import Kind

__all__ = ["FORMAT", "VERSION", "encode_spec", "write_programs"]

FORMAT, VERSION = "gradwire program", 1

# Their numbers of the next step follow from more than the count of steps, by Python of the optimizer.
_OWN_NUMBERS = ("_fused_nadam_", "_fused_asgd_")
_CONTAINERS = {tuple: "tuple", list: "list", dict: "dict"}


def write_programs(
    path: str | os.PathLike[str], function: Callable[..., Any], found: Sequence[tuple[Any, Replay]]
) -> None:
    """Write programs, each with the kind of arguments it is for; waits for the values of what they read.

    Raises RuntimeError for a program that cannot run without Python, CheckpointError if the file cannot be written.
    """
    file = _File(function)
    try:
        programs = [file.program(key, replay) for key, replay in found]
    except Unfit as error:
        raise RuntimeError(f"a program in a file must run without the script's Python, and {error}") from None
    text = json.dumps({"format": FORMAT, "version": VERSION, "programs": programs}, allow_nan=False)
    write_safetensors(path, file.arrays, {"gradwire": text})


class _File:
    """What is to be written: a tensor that several programs read is in it once."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.arrays: dict[str, np.ndarray[Any, Any]] = {}
        self._names: dict[int, str] = {}
        self._held: list[Tensor] = []  # so that an id stays its own
        self._parameters = _parameter_names(function)
        self._programs = 0

    def program(self, key: Any, replay: Replay) -> dict[str, Any]:
        """Return the description of one program; its bytes and tensors go to the arrays."""
        made = replay.capture
        name = f"program.{self._programs}"
        self._programs += 1
        self.arrays[name] = np.frombuffer(made.encoded, np.uint8)
        structure, parts, _ = key
        numbers, generators = _numbers(made, replay.last or made.numbers)
        return {
            "program": name,
            "digest": made.digest,
            "structure": structure,
            "arguments": [self._argument(structure, index, part) for index, part in enumerate(parts)],
            "inputs": [
                self._input(source, meta) for source, meta in zip(made.sources, made.program.inputs, strict=True)
            ],
            "carried": _carried(made),
            "numbers": numbers,
            "generators": generators,
            "results": [self._result(result) for result in made.results],
            "result": encode_spec(made.spec),
            "lines": [os.path.basename(line) for line in made.lines],
        }

    def _argument(self, structure: Any, index: int, part: Any) -> dict[str, Any]:
        is_named = isinstance(structure, int) and index < len(self._parameters)
        name = self._parameters[index] if is_named else str(index)
        if isinstance(part[0], Meta):
            return {"name": name, "tensor": True}
        return {"name": name, "value": _plain(part[1], f"argument {name}")}

    def _input(self, source: Source, meta: Meta) -> dict[str, Any]:
        if source.argument >= 0:
            if source.of_grad:
                raise Unfit(f"it reads {name_of(source)}")
            return {"argument": source.argument}
        tensor = tensor_at(source, ())
        if not isinstance(tensor, Tensor) or tensor.meta is not meta:
            raise Unfit(f"{name_of(source)} is not as it was recorded, {meta}; call the function once more before")
        if any(stride <= 0 < size - 1 for size, stride in zip(meta.shape, meta.strides, strict=True)):
            raise Unfit(f"{name_of(source)} shows one element in several places; make it contiguous()")
        return {"value": self._value(tensor, name_of(source))}

    def _value(self, tensor: Tensor, wanted: str) -> str:
        found = self._names.get(id(tensor))
        if found is None:
            found, count = wanted, 1
            while found in self.arrays:
                count += 1
                found = f"{wanted} ({count})"
            self._names[id(tensor)] = found
            self._held.append(tensor)
            self.arrays[found] = fetch(tensor.detach())
        return found

    def _result(self, result: Result) -> dict[str, Any]:
        made: dict[str, Any]
        if result.output >= 0:
            made = {"output": result.output}
        elif result.outside is not None:
            source = result.outside
            if source.of_grad:
                raise Unfit(f"it returns {name_of(source)}, which it did not make")
            is_argument = source.argument >= 0
            made = (
                {"argument": source.argument}
                if is_argument
                else {"value": self._value(tensor_at(source, ()), name_of(source))}
            )
        else:
            return {"plain": _plain(result.value, "a result")}
        if result.view is not None:
            meta, offset = result.view
            made["view"] = [list(meta.shape), list(meta.strides), offset]
        return made


def _parameter_names(function: Callable[..., Any]) -> list[str]:
    """Return the names of what a function takes by position."""
    try:
        found = inspect.signature(function.forward if isinstance(function, Module) else function).parameters.values()
    except (TypeError, ValueError):
        return []
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [parameter.name for parameter in found if parameter.kind in by_position]


def _plain(value: Any, name: str) -> Any:
    """Return a Python value as JSON holds it."""
    is_finite = not isinstance(value, float) or math.isfinite(value)
    if type(value) in (bool, int, float, str, type(None)) and is_finite:
        return value
    raise Unfit(f"{name} is {value!r:.80}; only tensors, finite numbers, text and None can be in a file")


def _carried(made: Capture) -> list[list[int]]:
    """Return which gradients that the program reads are its outputs in the next run, as (input, output)."""
    carried = []
    for item in made.filled:
        for index, source in enumerate(made.sources):
            if source.of_grad and source.place is item.source.place and source.held is item.source.held:
                if item.output < 0:
                    raise Unfit(f"it reads {name_of(source)} and takes it away")
                carried.append([index, item.output])
    return carried


def _numbers(made: Capture, last: Sequence[Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Describe the numbers that vary, as they were in the last run, and the generators that some are drawn from."""
    generators = [
        {"blocks": blocks} if generator is default_generator else
        {"blocks": blocks, "seed": generator.position[0], "offset": generator.position[1]}
        for generator, blocks in made.generators
    ]  # fmt: skip
    known = {id(generator): index for index, (generator, _) in enumerate(made.generators)}
    described: list[dict[str, Any]] = []
    for event in made.events:
        if isinstance(event, Scheduled):
            raise Unfit("a learning-rate schedule is Python; step it outside, and set numbers['lr'] of what is loaded")
        if isinstance(event, Draw):
            if event.call >= 0:
                place = {"generator": known[id(event.generator)], "behind": event.behind}
                described += ({"is": "seed", **place}, {"is": "offset", **place})
        else:
            _describe_update(made, event, last, described)
    return described, generators


def _describe_update(made: Capture, event: Update, last: Sequence[Any], described: list[dict[str, Any]]) -> None:
    for call in event.calls:
        op = made.program.calls[call].signature.op
        if op.name in _OWN_NUMBERS:
            raise Unfit(f"the numbers of {op.name} come from the optimizer's Python; use Adam, or another one")
        for argument in op.arguments:
            if argument.kind is Kind.SCALAR:
                kind = "step" if argument.name == "step" else "option"
                described.append(
                    {"is": kind, "name": argument.name, "value": _plain(last[len(described)], argument.name)}
                )


def encode_spec(spec: TreeSpec) -> Any:
    """Return a structure as JSON: None for a leaf, else [container, keys or null, children]."""
    if spec.type is None:
        return None
    if spec.type not in _CONTAINERS:
        raise Unfit(f"it returns a {spec.type.__name__}; return tuples, lists or dicts")
    keys = [_plain(key, "a key") for key in spec.context] if spec.type is dict else None
    if keys is not None and not all(isinstance(key, str) for key in keys):
        raise Unfit("it returns a dict with keys that are no text")
    return [_CONTAINERS[spec.type], keys, [encode_spec(child) for child in spec.children_specs]]
