"""Running a fusion: its steps on one block of rows after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradwire_server.programs.fusion import COLUMN, WHOLE, Fusion
from gradwire_server.programs.values import Value

__all__ = ["BlockRunner"]

Array = Any
Body = Sequence[Callable[[], None]]


class BlockRunner:
    """A fusion with its scratch memory.

    The body's calls read and write `slots`, which hold the parts of the present block. Parts of an array are cut once, and
    again only when another array comes in its place.
    """

    def __init__(self, fusion: Fusion, xp: Any, in_one: bool = False) -> None:
        """Make the scratch arrays; `prepare` gives the body. `in_one`: all rows are one block, which needs no scratch."""
        self._fusion, self._xp = fusion, xp
        layout = fusion.layout
        self._block_rows = layout.rows if in_one else layout.block_rows
        self._starts = range(0, layout.rows, self._block_rows)
        operands = (*fusion.inputs, *fusion.outputs)
        self._index = {value: number for number, value in enumerate(operands)}
        self.slots: list[Any] = [None] * len(operands)
        self._kinds = [fusion.kind(value.meta) for value in operands]
        self._seen: list[Any] = [None] * len(operands)
        self._parts: list[list[Array]] = [[] for _ in operands]
        scratch = [] if in_one else fusion.scratch
        self._scratch = [xp.empty((self._block_rows, layout.columns), dtype.numpy) for dtype in scratch]
        first = len(self.slots)
        self.slots += self._scratch
        self._index.update((value, first + number) for value, number in fusion.inner.items())
        self._body: Body = ()
        self.rows = 0  # of the present block
        self.addresses: list[int] = []  # of what is in the slots, where the body asks for them
        self._part_addresses: list[list[int]] = [[] for _ in operands]

    def slot(self, value: Value) -> int:
        """Return where the body finds a value's part."""
        return self._index[value]

    def constant(self, content: Any) -> int:
        """Return where the body finds what does not vary by block."""
        self.slots.append(content)
        return len(self.slots) - 1

    def prepare(self, body: Body, by_address: bool = False) -> None:
        """Set the calls of a block; `by_address`: some of them read `addresses`."""
        self._body = body
        if by_address:
            count = len(self._seen)
            self.addresses = [0] * count + [_address(array) for array in self._scratch]

    def run(self, arrays: Sequence[Array]) -> None:
        """Run on the inputs and into the outputs, in the fusion's order."""
        for number, array in enumerate(arrays):
            if array is not self._seen[number]:
                self._seen[number] = array
                self._parts[number] = self._cut(array, self._kinds[number])
                if self.addresses:
                    self._part_addresses[number] = [_address(part) for part in self._parts[number]]
        slots, body, layout = self.slots, self._body, self._fusion.layout
        count = len(arrays)
        for block, start in enumerate(self._starts):
            slots[:count] = [parts[block] for parts in self._parts]
            if self.addresses:
                self.rows = min(self._block_rows, layout.rows - start)
                self.addresses[:count] = [addresses[block] for addresses in self._part_addresses]
            if start + self._block_rows > layout.rows:
                rest = layout.rows - start
                slots[count : count + len(self._scratch)] = [array[:rest] for array in self._scratch]
            for call in body:
                call()
        slots[count : count + len(self._scratch)] = self._scratch

    def forget(self, number: int) -> None:
        """Let go of an array that does not stay."""
        self._seen[number], self._parts[number] = None, []

    def _cut(self, array: Array, kind: str) -> list[Array]:
        """Return the part of an array for each block."""
        layout = self._fusion.layout
        if kind not in (WHOLE, COLUMN):
            return [array.reshape(()) if array.size == 1 else array] * len(self._starts)
        rows = array.reshape(layout.rows, layout.columns if kind == WHOLE else 1)
        return [rows[start : start + self._block_rows] for start in self._starts]


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
