"""A checkpoint's files: one safetensors file, or an index with shards beside it. Whole, checked, or refused.

The file at the path has in its metadata a JSON text with the tree of states, a checksum of each tensor and the names of the shards,
and a checksum of that text. Shards have names of their own for each save, and the index is replaced last: until then the old
index and its shards are what is there.
"""

from __future__ import annotations

import glob
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from gradwire.conversion import fetch
from gradwire.safetensors import read_safetensors, write_safetensors
from gradwire.tensor import Tensor
from gradwire_protocol.checksums import array_sum, text_sum
from gradwire_protocol.errors import CheckpointError

__all__ = ["described", "description", "groups", "read_parts", "write_parts"]

FORMAT, VERSION = "gradwire checkpoint", 1

Array = np.ndarray[Any, Any]


def write_parts(path: str, tree: Any, tensors: Mapping[str, Tensor], shard_bytes: int) -> None:
    """Write a tree and its tensors; raise CheckpointError, with what was there before untouched, if that fails."""
    parts = list(groups(tensors, shard_bytes))
    stamp = secrets.token_hex(8)
    written: list[str] = []
    sums: dict[str, str] = {}
    try:
        if len(parts) > 1:
            for number, group in enumerate(parts):
                shard = f"{path}.{stamp}.{number:05}"
                arrays = _fetched(tensors, group, sums)
                written.append(shard)
                write_safetensors(shard, arrays)
            arrays = {}
        else:
            arrays = _fetched(tensors, parts[0] if parts else [], sums)
        shards = [os.path.basename(shard) for shard in written]
        text = description(tree, sums, shards)
        write_safetensors(path, arrays, {"gradwire": text, "checksum": text_sum(text)})
    except BaseException:
        _remove(written)
        raise
    # What other saves left: those that this one replaced, and those that were killed.
    _remove([found for found in _shards_beside(path) if f".{stamp}." not in found])


def description(tree: Any, sums: Mapping[str, str], shards: list[str]) -> str:
    """Return the text that says what a checkpoint has."""
    return json.dumps(
        {"format": FORMAT, "version": VERSION, "tree": tree, "sums": sums, "shards": shards}, allow_nan=False
    )


def read_parts(path: str) -> tuple[Any, dict[str, Array]]:
    """Return the tree and all arrays, checked; raise CheckpointError for files that are not as they were written."""
    arrays, metadata = read_safetensors(path)
    contents = described(path, metadata)
    for shard in contents["shards"]:
        beside = os.path.join(os.path.dirname(path), shard)
        try:
            arrays |= read_safetensors(beside)[0]
        except FileNotFoundError:
            raise CheckpointError(f"the checkpoint {path} needs its shard {shard} beside it; it is not there") from None
    sums = contents["sums"]
    if arrays.keys() != sums.keys():
        raise CheckpointError(
            f"the checkpoint {path} is damaged: it does not have the tensors that it names; load another"
        )
    for name, array in arrays.items():
        if array_sum(array) != sums[name]:
            raise CheckpointError(f"the checkpoint {path} is damaged: {name} is not what was saved; load another one")
    return contents["tree"], arrays


def described(path: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return what a checkpoint's metadata describes; raise CheckpointError for metadata that no save wrote."""
    text = metadata.get("gradwire", "")
    try:
        found: dict[str, Any] = json.loads(text)
        if found["format"] != FORMAT:
            raise ValueError(found["format"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CheckpointError(
            f"loading {path} needs a file that gradwire.checkpoint.save wrote; it is a safetensors file of another kind, or "
            "damaged; gradwire.load reads those of other kinds"
        ) from None
    if text_sum(text) != metadata.get("checksum"):
        raise CheckpointError(f"the checkpoint {path} is damaged: its description is not what was saved; load another")
    if found["version"] != VERSION:
        raise CheckpointError(
            f"the checkpoint {path} has version {found['version']}; this gradwire reads {VERSION}; update it"
        )
    if any(os.path.basename(shard) != shard for shard in found["shards"]):
        raise CheckpointError(f"the checkpoint {path} names shards that are not beside it; nothing else is read")
    return found


def groups(tensors: Mapping[str, Tensor], shard_bytes: int) -> Iterator[list[str]]:
    """Yield names of tensors that together have up to so many bytes; one that has more is alone."""
    group: list[str] = []
    size = 0
    for name, tensor in tensors.items():
        nbytes = tensor.numel() * tensor.element_size()
        if group and size + nbytes > shard_bytes:
            yield group
            group, size = [], 0
        group.append(name)
        size += nbytes
    if group:
        yield group


def _fetched(tensors: Mapping[str, Tensor], names: list[str], sums: dict[str, str]) -> dict[str, Array]:
    arrays = {name: np.asarray(fetch(tensors[name].detach()), order="C") for name in names}
    sums.update((name, array_sum(array)) for name, array in arrays.items())
    return arrays


def _shards_beside(path: str) -> list[str]:
    pattern = glob.escape(path) + "." + "[0-9a-f]" * 16 + "." + "[0-9]" * 5
    return glob.glob(pattern)


def _remove(paths: list[str]) -> None:
    for path in paths:
        with suppress(OSError):
            os.unlink(path)
