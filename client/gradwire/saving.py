"""`save` and `load`: a state_dict as a safetensors file. Nothing that is loaded is ever executed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gradwire.conversion import fetch, from_array
from gradwire.serialization import read_safetensors, write_safetensors
from gradwire_protocol.dtypes import from_numpy

if TYPE_CHECKING:
    from gradwire.tensor import Tensor

__all__ = ["load", "save"]


def save(obj: Mapping[str, Tensor], f: str | os.PathLike[str]) -> None:
    """Write a state_dict to a file; waits for its values.

    The file is replaced as a whole or not at all. Raises TypeError for what is not a mapping of names to tensors, and
    CheckpointError if the file cannot be written.
    """
    from gradwire.tensor import Tensor

    if not isinstance(obj, Mapping):
        raise TypeError(f"save needs a mapping of names to tensors, such as a state_dict; got {type(obj).__name__}")
    for name, value in obj.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise TypeError(
                f"save needs a mapping of names to tensors, such as a module's state_dict; {name!r} is a {type(value).__name__}"
            )
    write_safetensors(os.fspath(f), {name: fetch(value.detach()) for name, value in obj.items()})


def load(f: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return the state_dict of a file that `save`, or any safetensors library, wrote.

    Raises CheckpointError for a file that is not whole, in any way, before a tensor is made.
    """
    arrays, _ = read_safetensors(os.fspath(f))
    return {name: from_array(values, from_numpy(values.dtype)) for name, values in arrays.items()}
