"""Programs out of files: checked as they are read, and run as calls of the current session."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from gradwire import session as sessions
from gradwire.conversion import from_array
from gradwire.creation import zeros
from gradwire.generators import Generator, default_generator, signed
from gradwire.programs.compiled import flat_arguments
from gradwire.programs.saving import FORMAT, VERSION
from gradwire.safetensors import read_safetensors
from gradwire.tensor import Tensor
from gradwire.tree import TreeSpec, tree_unflatten
from gradwire_protocol.dtypes import from_numpy
from gradwire_protocol.errors import CheckpointError, GradwireError
from gradwire_protocol.meta import Meta
from gradwire_protocol.program import Program, program_signature
from gradwire_protocol.program_codec import decode_program, digest_of
from gradwire_protocol.v1 import program_pb2

__all__ = ["LoadedFunction", "load_programs"]

_CONTAINERS: dict[str, type] = {"tuple": tuple, "list": list, "dict": dict}


class _Invalid(Exception):
    """What is wrong with a file, as one clause of a sentence."""


def _need(holds: object, words: str) -> None:
    if not holds:
        raise _Invalid(words)


@dataclass(slots=True)
class _Saved:
    """One program of a file, checked against itself."""

    program: Program
    encoded: bytes
    digest: str
    structure: Any
    arguments: list[dict[str, Any]]
    inputs: list[dict[str, Any]]
    carried: list[list[int]]
    numbers: list[dict[str, Any]]
    generators: list[tuple[Generator, int]]
    results: list[dict[str, Any]]
    spec: TreeSpec
    lines: list[str]
    names: list[str]  # of the numbers that are options or counts of steps, "" for others


def load_programs(path: str | os.PathLike[str]) -> LoadedFunction:
    """See `gradwire.programs.load`."""
    arrays, metadata = read_safetensors(path)
    try:
        return _checked(arrays, metadata)
    except (_Invalid, KeyError, IndexError, TypeError, ValueError, RuntimeError, DecodeError, GradwireError) as error:
        words = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise CheckpointError(
            f"loading {os.fspath(path)} needs a program that a compiled function saved; {words:.400}; save it again, by the "
            "same version of gradwire"
        ) from None


def _checked(arrays: Mapping[str, np.ndarray[Any, Any]], metadata: Mapping[str, str]) -> LoadedFunction:
    _need("gradwire" in metadata, "this is a safetensors file without one")
    described = json.loads(metadata["gradwire"])
    _need(isinstance(described, dict) and described.get("format") == FORMAT, "its description is of something else")
    _need(
        described["version"] == VERSION,
        f"it has version {described['version']!r:.40}, and this gradwire reads {VERSION}",
    )
    _need(isinstance(described["programs"], list) and described["programs"], "it has no program")
    programs = [_program(item, arrays) for item in described["programs"]]
    wanted = {
        item["value"]: meta
        for saved in programs for item, meta in zip(saved.inputs, saved.program.inputs, strict=True) if "value" in item
    }  # fmt: skip
    for saved in programs:
        for item, meta in zip(saved.inputs, saved.program.inputs, strict=True):
            _need(item.get("value") is None or wanted[item["value"]] is meta, f"{item} is read in two forms")
        wanted.update({
            item["value"]: _meta_of(arrays[item["value"]]) for item in saved.results
            if "value" in item and item["value"] not in wanted
        })  # fmt: skip
    for name, meta in wanted.items():
        _need(_fits(arrays[name], meta), f"{name} is no {meta}")
    return LoadedFunction(programs, {name: _tensor(arrays[name], meta) for name, meta in wanted.items()})


def _meta_of(values: np.ndarray[Any, Any]) -> Meta:
    return Meta.of(values.shape, from_numpy(values.dtype))


def _fits(values: np.ndarray[Any, Any], meta: Meta) -> bool:
    return values.shape == meta.shape and from_numpy(values.dtype) is meta.dtype


def _tensor(values: np.ndarray[Any, Any], meta: Meta) -> Tensor:
    """Return values with the strides that the program knows them by."""
    made = from_array(values, meta.dtype)
    if made.meta is meta:
        return made
    last = sum((size - 1) * stride for size, stride in zip(meta.shape, meta.strides, strict=True))
    _need(meta.numel and 0 <= last < 4 * meta.numel, f"a value cannot lie as {meta}")
    laid: Tensor = zeros(last + 1, dtype=meta.dtype).as_strided(meta.shape, meta.strides)
    laid.copy_(made)
    return laid


def _program(item: dict[str, Any], arrays: Mapping[str, np.ndarray[Any, Any]]) -> _Saved:
    """Return one program, whose description fits it."""
    values = arrays[item["program"]]
    _need(values.dtype == np.uint8 and values.ndim == 1, "a program is no string of bytes")
    encoded = values.tobytes()
    message = program_pb2.Program.FromString(encoded)
    digest = digest_of(message)
    _need(digest == item["digest"], f"a program has the digest {digest}, and the file says {item['digest']!r:.80}")
    program = decode_program(message)
    saved = _Saved(
        program, encoded, digest, item["structure"], item["arguments"], item["inputs"], item["carried"], item["numbers"],
        [_generator(one) for one in item["generators"]], item["results"], _decode_spec(item["result"]),
        [str(line) for line in item["lines"]], _number_names(item["numbers"]),
    )  # fmt: skip
    _check_arguments(saved)
    _check_numbers(saved)
    _check_results(saved)
    return saved


def _is_index(value: Any, count: int) -> bool:
    return type(value) is int and 0 <= value < count


def _check_arguments(saved: _Saved) -> None:
    inputs, outputs = saved.program.inputs, saved.program.output_metas()
    _need(
        len(saved.inputs) == len(inputs), f"a program has {len(inputs)} inputs, and {len(saved.inputs)} are described"
    )
    _need(isinstance(saved.structure, int | str), "the structure of the arguments is neither a number nor text")
    for argument in saved.arguments:
        is_one = isinstance(argument["name"], str) and ("tensor" in argument) is not ("value" in argument)
        _need(is_one, f"{argument!r:.80} is no argument")
    for item in saved.inputs:
        index: Any = item.get("argument")
        is_argument = _is_index(index, len(saved.arguments)) and "tensor" in saved.arguments[index]
        is_one = is_argument if "argument" in item else isinstance(item.get("value"), str)
        _need(is_one and len(item) == 1, f"an input is an argument or a value; one is {item!r:.80}")
    for source, output in saved.carried:
        _need(
            _is_index(source, len(inputs)) and _is_index(output, len(outputs)), "what is carried is no input and output"
        )
        _need(inputs[source] is outputs[output] and "value" in saved.inputs[source], "what is carried does not fit")


def _check_numbers(saved: _Saved) -> None:
    kinds = saved.program.kinds
    _need(
        len(saved.numbers) == len(kinds),
        f"a program takes {len(kinds)} numbers, and {len(saved.numbers)} are described",
    )
    for item, kind in zip(saved.numbers, kinds, strict=True):
        if item["is"] in ("seed", "offset"):
            _need(
                kind is int and _is_index(item["generator"], len(saved.generators)), "a number comes from no generator"
            )
            _need(_is_index(item["behind"], 1 << 62), "numbers are drawn behind a place that there is not")
        else:
            _need(
                item["is"] in ("step", "option") and type(item["value"]) is kind, f"{item!r:.80} is no {kind.__name__}"
            )


def _check_results(saved: _Saved) -> None:
    outputs = len(saved.program.outputs)
    _need(len(saved.results) == saved.spec.num_leaves, "the results do not fit their structure")
    for item in saved.results:
        is_known = (
            _is_index(item.get("output"), outputs) or _is_index(item.get("argument"), len(saved.arguments))
            or isinstance(item.get("value"), str) or "plain" in item
        )  # fmt: skip
        _need(is_known and len(item.keys() - {"view"}) == 1, f"{item!r:.80} is no result")
        if "view" in item:
            shape, strides, offset = item["view"]
            _need(all(_is_index(part, 1 << 62) for part in (*shape, *strides, offset)), "a result is no view")


def _generator(item: dict[str, Any]) -> tuple[Generator, int]:
    """Return a generator, and by how many blocks a run moves it on."""
    _need(_is_index(item["blocks"], 1 << 62), "a generator moves on by no number of blocks")
    if "seed" not in item:
        return default_generator, item["blocks"]
    _need(_is_index(item["offset"], 1 << 62), "a generator has no place in its stream")
    made = Generator().manual_seed(item["seed"])
    made.position = made.position[0], item["offset"]
    return made, item["blocks"]


def _number_names(numbers: Sequence[dict[str, Any]]) -> list[str]:
    """Name the numbers that are options or counts: `lr`, and `lr.1` for the next update's."""
    seen: dict[str, int] = {}
    names = []
    for item in numbers:
        name = item.get("name", "")
        _need(isinstance(name, str), "a number's name is no text")
        count = seen[name] = seen.get(name, -1) + 1
        names.append(f"{name}.{count}" if name and count else name)
    return names


def _decode_spec(item: Any, depth: int = 0) -> TreeSpec:
    if item is None:
        return TreeSpec(None, None, ())
    kind, keys, children = item
    _need(kind in _CONTAINERS and depth < 64, f"{kind!r:.40} is no structure of results")
    if kind == "dict":
        _need(all(isinstance(key, str) for key in keys) and len(set(keys)) == len(children), "a dict's keys do not fit")
    made = tuple(_decode_spec(child, depth + 1) for child in children)
    return TreeSpec(_CONTAINERS[kind], keys if kind == "dict" else None, made)


class LoadedFunction:
    """Programs out of a file. Calls give what the function's would, without a graph around them.

    `values` are the tensors that the programs read and write, weights and optimizer state among them, by the names that the
    script knew them by. `numbers` are the options that a run takes, as `lr`, which may be changed, and `step`, which grows.
    """

    def __init__(self, programs: Sequence[_Saved], values: dict[str, Tensor]) -> None:
        """Take programs that were checked."""
        self._programs, self.values = programs, values
        self.session = sessions.current()
        self.numbers: dict[str, Any] = {
            name: item["value"]
            for saved in programs for name, item in zip(saved.names, saved.numbers, strict=True) if name
        }  # fmt: skip

    @property
    def arguments(self) -> list[list[str]]:
        """Return the names of the tensors that each program takes."""
        return [[item["name"] for item in saved.arguments if "tensor" in item] for saved in self._programs]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program for such arguments; RuntimeError if there is none."""
        leaves, structure = flat_arguments(args, kwargs)
        why = "none takes arguments of this structure"
        for saved in self._programs:
            if saved.structure == structure and len(leaves) == len(saved.arguments):
                given, why = _arguments(saved, leaves)
                if given is not None:
                    return tree_unflatten(self._run(saved, given), saved.spec)
        raise RuntimeError(f"a saved function has programs for the arguments that it was called with; {why}")

    def by_name(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the program that takes just these tensors; return the tensors of its result by their places in it."""
        why = f"they take {' or '.join(map(str, self.arguments))}; got {sorted(tensors)}"
        for saved in self._programs:
            if {item["name"] for item in saved.arguments if "tensor" in item} == tensors.keys():
                leaves = [tensors[item["name"]] if "tensor" in item else item["value"] for item in saved.arguments]
                given, why = _arguments(saved, leaves)
                if given is not None:
                    made = zip(_leaf_names(saved.spec), self._run(saved, given), strict=True)
                    return {name: leaf for name, leaf in made if isinstance(leaf, Tensor)}
        raise RuntimeError(f"a saved function has programs for the tensors that it was called with; {why}")

    def _run(self, saved: _Saved, given: dict[int, Tensor]) -> list[Any]:
        """Make one run; return the leaves of its result."""
        inputs = [
            given[item["argument"]] if "argument" in item else self.values[item["value"]] for item in saved.inputs
        ]
        signature = program_signature(saved.program, saved.digest, 0)
        interned = self.session.intern_program(signature, saved.encoded, saved.lines)
        first = self.session.append(interned, inputs, self._numbers(saved))
        for index in signature.written:
            inputs[index].storage.version += 1
        made = [Tensor._make(self.session, first + index, meta) for index, meta in enumerate(interned.outputs)]
        results = [self._result(item, made, given) for item in saved.results]
        for index, output in saved.carried:
            self.values[saved.inputs[index]["value"]] = made[output]
        return results

    def _numbers(self, saved: _Saved) -> list[Any]:
        places = [generator.position for generator, _ in saved.generators]
        numbers = []
        for item, name in zip(saved.numbers, saved.names, strict=True):
            if item["is"] == "step":
                self.numbers[name] += 1
            if name:
                numbers.append(self.numbers[name])
            else:
                seed, offset = places[item["generator"]]
                numbers.append(signed(seed) if item["is"] == "seed" else offset + item["behind"])
        for (generator, blocks), (seed, offset) in zip(saved.generators, places, strict=True):
            generator.position = seed, offset + blocks
        return numbers

    def _result(self, item: dict[str, Any], made: Sequence[Tensor], given: dict[int, Tensor]) -> Any:
        if "plain" in item:
            return item["plain"]
        found = made[item["output"]] if "output" in item else (
            given[item["argument"]] if "argument" in item else self.values[item["value"]]
        )  # fmt: skip
        return found.as_strided(*item["view"]) if "view" in item else found


def _arguments(saved: _Saved, leaves: Sequence[Any]) -> tuple[dict[int, Tensor] | None, str]:
    """Return the tensors among arguments, as the program takes them, or None and why it does not."""
    given: dict[int, Tensor] = {}
    for index, (item, leaf) in enumerate(zip(saved.arguments, leaves, strict=True)):
        if "value" in item:
            if type(leaf) is not type(item["value"]) or leaf != item["value"]:
                return None, f"{item['name']} is {leaf!r:.80}, and was {item['value']!r:.80}"
        elif not isinstance(leaf, Tensor):
            return None, f"{item['name']} must be a tensor, and is a {type(leaf).__name__}"
        else:
            given[index] = leaf.detach()
    for item, meta in zip(saved.inputs, saved.program.inputs, strict=True):
        if "argument" in item:
            tensor = given[item["argument"]]
            if tensor.meta is not meta and meta.is_contiguous:
                tensor = given[item["argument"]] = tensor.contiguous()
            if tensor.meta is not meta:
                return None, f"{saved.arguments[item['argument']]['name']} must be {meta}, and is {tensor.meta}"
    return given, ""


def _leaf_names(spec: TreeSpec, prefix: str = "") -> list[str]:
    """Return the places of a structure's leaves, as `0.loss`; `result` for a single one."""
    if spec.type is None:
        return [prefix or "result"]
    keys = spec.context if spec.type is dict else range(len(spec.children_specs))
    names = []
    for key, child in zip(keys, spec.children_specs, strict=True):
        names += _leaf_names(child, f"{prefix}.{key}" if prefix else str(key))
    return names
