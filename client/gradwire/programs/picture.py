"""A program as a picture: a box per call, below what it reads, with lines from value to value.

Layers are longest paths; within a layer boxes are ordered and placed by the mean of their neighbours.
"""

from __future__ import annotations

import itertools
import linecache
from collections.abc import Sequence
from dataclasses import dataclass, field

from gradwire.programs.capture import Capture, Source
from gradwire.programs.listing import call_text
from gradwire.svg import Svg
from gradwire_protocol.program import ABSENT, Program

__all__ = ["draw"]

_HEIGHT, _GAP, _BETWEEN, _MARGIN, _HEADING = 38, 18, 34, 24, 26
# A line over more layers than this is drawn straight and faint: room kept for it in each layer would spread the picture.
_MOST_LAYERS = 12
_SWEEPS = 6
_MOST_ALIKE = 3

# What a box is: (fill, stroke), with a line of the legend.
_COLOURS = {
    "argument": ("#dbeafe", "#3b82f6"),
    "parameter": ("#dcfce7", "#22a35a"),
    "captured": ("#eeeeee", "#888888"),
    "call": ("#ffffff", "#555555"),
    "in place": ("#fef3c7", "#d99a1c"),
    "output": ("#fde2e2", "#d94f4f"),
}


@dataclass(slots=True, eq=False)
class _Box:
    """An input, a call, an output; or, without words, a place where a line passes through a layer."""

    kind: str = ""
    words: tuple[str, str] = ("", "")
    title: str = ""
    layer: int = 0
    x: float = 0.0  # of its middle
    above: list[_Box] = field(default_factory=list)
    below: list[_Box] = field(default_factory=list)

    @property
    def width(self) -> float:
        return max(Svg.text_width(self.words[0], 12), Svg.text_width(self.words[1], 10)) + 16 if self.kind else 6.0


@dataclass(slots=True)
class _Picture:
    """Boxes by layer, and lines: each through the boxes where it passes."""

    layers: list[list[_Box]] = field(default_factory=list)
    lines: list[list[_Box]] = field(default_factory=list)
    far: list[tuple[_Box, _Box]] = field(default_factory=list)
    left: float = 0.0
    right: float = 0.0


def draw(captures: Sequence[Capture]) -> Svg:
    """Return the programs, one below the other."""
    pictures = [_laid_out(_bundled(_boxes(made))) for made in captures]
    width = max([560.0, *(picture.right - picture.left for picture in pictures)]) + 2 * _MARGIN
    heights = [len(picture.layers) * (_HEIGHT + _BETWEEN) + _HEADING + _MARGIN for picture in pictures]
    svg = Svg(width, sum(heights) + 2 * _MARGIN)
    _legend(svg)
    top = 2.0 * _MARGIN
    for made, picture, height in zip(captures, pictures, heights, strict=True):
        program = made.program
        heading = f"program {made.digest[:12]}: {len(program.calls)} calls, {len(program.kinds)} numbers that vary"
        svg.text(_MARGIN, top + 12, heading, bold=True)
        _paint(svg, picture, (width - picture.left - picture.right) / 2, top + _HEADING)
        top += height
    return svg


def _legend(svg: Svg) -> None:
    x = float(_MARGIN)
    for words, (fill, stroke) in _COLOURS.items():
        svg.rect(x, 12, 12, 12, fill, stroke=stroke, radius=2)
        svg.text(x + 17, 22, words, size=11)
        x += 34 + Svg.text_width(words, 11)


# -- what is drawn -----------------------------------------------------------------------------------------------------


def _boxes(made: Capture) -> list[_Box]:
    """Return inputs, calls and outputs in an order in which each comes after what it reads."""
    program, metas = made.program, made.program.value_metas()
    inputs = [
        _Box(_kind(source, made.needs >> index & 1), (name, f"%{index}: {metas[index]}"), f"%{index}: {metas[index]} = {name}")
        for index, (source, name) in enumerate(zip(made.sources, made.names, strict=True))
    ]  # fmt: skip
    makers = list(inputs)  # of each value
    writers: dict[int, _Box] = {}  # of each memory: who changed it last
    roots = _roots(program)
    boxes = list(inputs)
    for call, line in zip(program.calls, made.lines, strict=True):
        signature = call.signature
        numbers = range(len(makers), len(makers) + len(signature.outputs))
        results = ", ".join(f"%{number}: {metas[number]}" for number in numbers)
        written = [value for index in signature.written if (value := call.inputs[index]) != ABSENT]
        kind = "in place" if written else "call"
        box = _Box(kind, (signature.op.name, _short(results)), _title(f"{results} = {call_text(call)}", line))
        for value in dict.fromkeys(call.inputs):
            if value != ABSENT:
                _connect(makers[value], box)
                if roots[value] in writers:
                    _connect(writers[roots[value]], box)
        writers.update((roots[value], box) for value in written)
        makers.extend([box] * len(signature.outputs))
        boxes.append(box)
    for index, value in enumerate(program.outputs):
        box = _Box(
            "output", (f"output {index}", f"%{value}: {metas[value]}"), f"output {index}: %{value}: {metas[value]}"
        )
        _connect(writers.get(roots[value], makers[value]), box)
        boxes.append(box)
    return boxes


def _kind(source: Source, needed: int) -> str:
    if source.argument >= 0 and not source.of_grad:
        return "argument"
    tensor = source.held
    if source.place is not None and not source.of_grad:
        tensor = source.place.get(source.place.key)
    return "parameter" if needed or (tensor is not None and tensor.leaf_requires_grad) else "captured"


def _short(results: str) -> str:
    return results if len(results) <= 44 else f"{results[:43]}…"


def _title(text: str, line: str) -> str:
    """Return a call with the user's line and what is written there."""
    path, _, number = line.rpartition(":")
    written = linecache.getline(path, int(number)).strip() if number.isdigit() else ""
    return f"{text.removeprefix(' = ')}\n{line}{': ' if written else ''}{written}"


def _roots(program: Program) -> list[int]:
    """Return of each value the one whose memory it shows."""
    roots = list(range(len(program.inputs)))
    for call in program.calls:
        for _ in call.signature.outputs:
            roots.append(roots[call.inputs[0]] if call.signature.op.is_view else len(roots))
    return roots


def _connect(upper: _Box, lower: _Box) -> None:
    if upper is not lower and upper not in lower.above:
        lower.above.append(upper)
        upper.below.append(lower)


# -- where it is drawn -------------------------------------------------------------------------------------------------


def _bundled(boxes: Sequence[_Box]) -> list[_Box]:
    """Make one box of inputs with the same readers, or outputs of the same call, where they are many."""
    alike: dict[object, list[_Box]] = {}
    for box in boxes:
        if not (box.above and box.below):
            key = box.kind, frozenset(map(id, box.above)), frozenset(map(id, box.below))
            alike.setdefault(key, []).append(box)
    gone: set[int] = set()
    for first, *others in alike.values():
        if len(others) < _MOST_ALIKE or first.kind in ("call", "in place"):
            continue
        first.words = (f"{first.words[0]} and {len(others)} more", first.words[1])
        first.title = "\n".join(box.title for box in (first, *others))
        gone.update(map(id, others))
    for box in boxes:
        box.above = [upper for upper in box.above if id(upper) not in gone]
        box.below = [lower for lower in box.below if id(lower) not in gone]
    return [box for box in boxes if id(box) not in gone]


def _laid_out(boxes: Sequence[_Box]) -> _Picture:
    """Give each box its layer and place."""
    picture = _Picture()
    for box in boxes:
        box.layer = max((upper.layer + 1 for upper in box.above), default=0)
    for box in boxes:
        if not box.above and box.below:  # an input belongs just above its first reader
            box.layer = min(lower.layer for lower in box.below) - 1
    picture.layers = [[] for _ in range(max((box.layer for box in boxes), default=-1) + 1)]
    for box in boxes:
        picture.layers[box.layer].append(box)
    edges = [(upper, lower) for lower in boxes for upper in lower.above]
    for box in boxes:
        box.above, box.below = [], []
    for upper, lower in edges:
        _route(picture, upper, lower)
    for _ in range(_SWEEPS):
        for layer in picture.layers:
            _place(layer, [box.above for box in layer])
        for layer in reversed(picture.layers):
            _place(layer, [box.below for box in layer])
    placed = [box for layer in picture.layers for box in layer]
    picture.left = min((box.x - box.width / 2 for box in placed), default=0.0)
    picture.right = max((box.x + box.width / 2 for box in placed), default=0.0)
    return picture


def _route(picture: _Picture, upper: _Box, lower: _Box) -> None:
    """Lay a line, with a place in each layer on its way."""
    if lower.layer - upper.layer > _MOST_LAYERS:
        picture.far.append((upper, lower))
        return
    line = [upper]
    for layer in range(upper.layer + 1, lower.layer):
        line.append(_Box(layer=layer))
        picture.layers[layer].append(line[-1])
    line.append(lower)
    for first, second in itertools.pairwise(line):
        _connect(first, second)
    picture.lines.append(line)


def _place(layer: list[_Box], neighbours: Sequence[Sequence[_Box]]) -> None:
    """Order a layer by the means of its boxes' neighbours, and move each as near to its mean as the others let it."""
    wanted = {
        id(box): sum(other.x for other in others) / len(others) if others else box.x
        for box, others in zip(layer, neighbours, strict=True)
    }
    layer.sort(key=lambda box: wanted[id(box)])
    from_left: list[float] = []
    for index, box in enumerate(layer):
        least = from_left[-1] + _apart(layer[index - 1], box) if index else wanted[id(box)]
        from_left.append(max(wanted[id(box)], least))
    from_right: list[float] = []
    for index in range(len(layer) - 1, -1, -1):
        box = layer[index]
        most = from_right[-1] - _apart(box, layer[index + 1]) if from_right else wanted[id(box)]
        from_right.append(min(wanted[id(box)], most))
    # Both keep boxes apart, and so does the mean of both.
    for box, low, high in zip(layer, from_left, reversed(from_right), strict=True):
        box.x = (low + high) / 2


def _apart(left: _Box, right: _Box) -> float:
    return (left.width + right.width) / 2 + _GAP


def _paint(svg: Svg, picture: _Picture, shift: float, top: float) -> None:
    def point(box: _Box, down: float) -> tuple[float, float]:
        return box.x + shift, top + box.layer * (_HEIGHT + _BETWEEN) + down

    for upper, lower in picture.far:
        svg.line([point(upper, _HEIGHT), point(lower, 0)], stroke="#d5d5d5", dashed=True)
    for line in picture.lines:
        passing = [point(box, down) for box in line[1:-1] for down in (0, _HEIGHT)]
        svg.line([point(line[0], _HEIGHT), *passing, point(line[-1], 0)], stroke="#999999", arrow=True)
    for box in [box for layer in picture.layers for box in layer if box.kind]:
        fill, stroke = _COLOURS[box.kind]
        x, y = point(box, 0)
        svg.rect(x - box.width / 2, y, box.width, _HEIGHT, fill, stroke=stroke, radius=4, title=box.title)
        svg.text(x, y + 16, box.words[0], anchor="middle", bold=True)
        svg.text(x, y + 30, box.words[1], size=10, anchor="middle", fill="#555555")
