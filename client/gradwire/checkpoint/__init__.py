"""`gradwire.checkpoint`: all that a training needs to go on, in files that are whole or not there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gradwire.casualties import LastCheckpoint
from gradwire.checkpoint.files import read_parts, write_parts
from gradwire.checkpoint.tree import decode, encode
from gradwire.checkpoint.urls import is_url, read_url, write_url
from gradwire.conversion import from_array
from gradwire.generators import default_generator
from gradwire_protocol.dtypes import from_numpy
from gradwire_protocol.errors import CheckpointError

__all__ = ["CheckpointError", "Loaded", "load", "save"]

# So much of a checkpoint is in this process's memory at a time.
_SHARD_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class Loaded:
    """What `load` found: the step, `extra`, and the states that nothing was given for, by name."""

    step: int
    extra: Any
    states: Mapping[str, Any]


def save(
    path: str | os.PathLike[str],
    *,
    step: int = 0,
    extra: Any = None,
    rng: bool = True,
    shard_bytes: int = _SHARD_BYTES,
    **parts: Any,
) -> None:
    """Write the states of parts, such as `model=`, `optimizer=`, `scheduler=`, with the step and the default generator's place.

    A part has `state_dict()` and `load_state_dict()`. `extra` is anything made of tensors, numbers, text, None, lists, tuples and
    dicts. Waits for the values. What stood at `path` is replaced as a whole or, whatever happens, not at all; past `shard_bytes`
    the tensors go to several files beside it, which belong to it. `rng=False` leaves the generator out.

    Raises TypeError for what cannot be in a checkpoint, and CheckpointError if the files cannot be written.
    """
    for name, part in parts.items():
        if not callable(getattr(part, "state_dict", None)):
            raise TypeError(f"checkpoint.save needs parts with a state_dict(); {name} is a {type(part).__name__}")
    if isinstance(step, bool) or not isinstance(step, int) or shard_bytes < 1:
        raise TypeError(f"checkpoint.save needs whole numbers as step and shard_bytes; got {step!r}, {shard_bytes!r}")
    whole = {
        "step": step,
        "extra": extra,
        "rng": default_generator.position if rng else None,
        "parts": {name: part.state_dict() for name, part in parts.items()},
    }
    tree, tensors = encode(whole)
    (write_url if is_url(os.fspath(path)) else write_parts)(os.fspath(path), tree, tensors, shard_bytes)
    _remember(path, step)


def load(path: str | os.PathLike[str], *, rng: bool = True, **parts: Any) -> Loaded:
    """Give the parts, and the default generator, the states that `save` wrote for the same names.

    Everything is read and checked before anything is changed. States in the file for which no part is given are returned.
    Raises CheckpointError for a file that is damaged, incomplete or no checkpoint, and for a part that it does not have; what
    `open` raises where there is none; and what a part's `load_state_dict` raises.
    """
    whole = _read(os.fspath(path))
    if not isinstance(whole, dict) or whole.keys() != {"step", "extra", "rng", "parts"}:
        raise CheckpointError(f"loading {os.fspath(path)} needs a checkpoint; it has other contents")
    states = whole["parts"]
    for name in parts:
        if name not in states:
            raise CheckpointError(
                f"the checkpoint {os.fspath(path)} has the parts {', '.join(states) or '(none)'}; it has no {name}"
            )
    for name, part in parts.items():
        part.load_state_dict(states[name])
    if rng and whole["rng"] is not None:
        default_generator.position = whole["rng"]
    _remember(path, whole["step"])
    return Loaded(whole["step"], whole["extra"], {name: state for name, state in states.items() if name not in parts})


def _read(path: str) -> Any:
    if is_url(path):
        tree, tensors = read_url(path)
        return decode(tree, tensors.__getitem__, path)
    tree, arrays = read_parts(path)
    return decode(tree, lambda name: from_array(arrays[name], from_numpy(arrays[name].dtype)), path)


def _remember(path: str | os.PathLike[str], step: int) -> None:
    """Let an error about a lost worker name the checkpoint to go back to."""
    from gradwire import session as sessions

    session = sessions.current()
    where = os.fspath(path) if is_url(os.fspath(path)) else os.path.abspath(path)
    for one in [session] if session.fleet is None else session.fleet.sessions:
        one.last_checkpoint = LastCheckpoint(where, step)
