"""`Part`: which nodes of a backward the worker runs before the client's own code comes in.

Nodes and leaves are named by where `planning.reach` finds them from the roots, which is the same on both sides. A part travels
as text, a static of its call, so that a training step whose parts recur interns each once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gradwire_protocol.dtypes import DTYPES, DType
from gradwire_protocol.meta import Meta

__all__ = ["EDGE", "LEAF", "NODE", "Exit", "Part"]

NODE, LEAF, EDGE = "n", "l", "e"
_DTYPES: dict[str, DType] = {dtype.name: dtype for dtype in DTYPES}


class Exit(NamedTuple):
    """A gradient that a part hands out.

    `kind` NODE: of output `output` of node `number`; LEAF: of the leaf that edge `number` leads to; EDGE: what the one
    node of the part gives its edge `number`, alone.
    """

    kind: str
    number: int
    output: int
    meta: Meta


@dataclass(frozen=True, slots=True)
class Part:
    """Nodes in running order, the (node, output) that each entering gradient belongs to, and what comes out."""

    run: tuple[int, ...]
    entries: tuple[tuple[int, int], ...]
    exits: tuple[Exit, ...]

    def encode(self) -> str:
        """Return the text of this part."""
        return ";".join(
            (
                ",".join(map(str, self.run)),
                ",".join(f"{node}.{output}" for node, output in self.entries),
                ",".join(_encode_exit(item) for item in self.exits),
            )
        )

    @classmethod
    def decode(cls, text: str) -> Part:
        """Return the part that `text` describes; raise ValueError for text that describes none."""
        run, entries, exits = text.split(";")
        return cls(
            tuple(int(item) for item in run.split(",") if item),
            tuple(_pair(item) for item in entries.split(",") if item),
            tuple(_decode_exit(item) for item in exits.split(",") if item),
        )


def _pair(text: str) -> tuple[int, int]:
    node, output = text.split(".")
    return int(node), int(output)


def _encode_exit(item: Exit) -> str:
    return f"{item.kind}{item.number}.{item.output}:{item.meta.dtype.name}:{'x'.join(map(str, item.meta.shape))}"


def _decode_exit(text: str) -> Exit:
    place, name, sizes = text.split(":")
    if place[:1] not in (NODE, LEAF, EDGE) or name not in _DTYPES:
        raise ValueError(f"an exit needs a kind and a dtype; got {text!r}")
    shape = tuple(int(size) for size in sizes.split("x") if size)
    return Exit(place[0], *_pair(place[1:]), Meta.of(shape, _DTYPES[name]))
