"""A profile as a picture: what client and worker did over time, and the dearest lines as bars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gradwire.profiling.places import expression, place_of
from gradwire.profiling.summary import LineCost, Summary
from gradwire.profiling.text import ms
from gradwire.profiling.timeline import Timeline
from gradwire.svg import Svg

__all__ = ["picture"]

_WIDTH, _MARGIN, _LABEL, _ROW = 1000.0, 16.0, 330.0, 22.0
_WAIT, _WORK, _IDLE, _MESSAGE = "#d1495b", "#2e7d87", "#d9d9d9", "#edae49"
_MOST_LINES = 16
_TOP = 118.0


def picture(timeline: Timeline, summary: Summary, title: str) -> Svg:
    """Draw a profile."""
    lines = [line for line in summary.lines if _longest(line) > 0][:_MOST_LINES]
    svg = Svg(_WIDTH, _TOP + 66 + len(lines) * _ROW * 1.6)
    svg.text(_MARGIN, 26, title, size=15, bold=True)
    _legend(svg)
    _lanes(svg, timeline)
    _bars(svg, lines, _TOP + 58)
    return svg


def _legend(svg: Svg) -> None:
    x = _MARGIN
    for fill, words in (
        (_WAIT, "client waits"), (_MESSAGE, "client sends"), (_WORK, "worker computes"), (_IDLE, "worker idle for this line"),
    ):  # fmt: skip
        svg.rect(x, 40, 12, 12, fill)
        svg.text(x + 18, 50, words, size=11)
        x += 40 + Svg.text_width(words, 11)


def _lanes(svg: Svg, timeline: Timeline) -> None:
    """Draw two lanes over time: the client's waits and messages, and the worker's work."""
    left, right = _MARGIN + 70, _WIDTH - _MARGIN
    start, span = timeline.recorder.began_ns, max(timeline.recorder.ended_ns - timeline.recorder.began_ns, 1)
    scale = (right - left) / span
    waits = ((s.began_ns, s.ended_ns, f"{place_of(s.site)} {expression(s.site)}") for s in timeline.stands)
    messages = (
        (w.batch.began_ns, w.batch.sent_ns, f"{place_of(w.batch.site)}: {len(w.calls)} calls") for w in timeline.work
    )
    work = ((w.began_ns, w.ended_ns, f"{len(w.calls)} calls from {place_of(w.batch.site)} on") for w in timeline.work)
    lanes = (("client", 66.0, ((_WAIT, waits), (_MESSAGE, messages))), ("worker", 90.0, ((_WORK, work),)))
    for name, y, kinds in lanes:
        svg.text(_MARGIN, y + 14, name, size=11)
        svg.rect(left, y, right - left, 18, "#f3f3f3")
        for fill, spans in kinds:
            for x, width, words in _pixels(spans, start, scale):
                svg.rect(left + x, y, width, 18, fill, title=words)
    for part in range(5):
        x = left + (right - left) * part / 4
        svg.line([(x, 60), (x, 112)], stroke="#cccccc")
        words = f"{ms(span * part / 4 / 1e9)} ms" if part else "0"
        svg.text(
            x, 126, words, size=10, anchor="start" if not part else "end" if part == 4 else "middle", fill="#666666"
        )


def _pixels(spans: Iterable[tuple[int, int, str]], start: int, scale: float) -> Iterator[tuple[float, float, str]]:
    """Turn spans of time into spans of pixels; join those that would lie within half a pixel of one another.

    Else a long profile would make a file of a million rectangles that nobody can tell apart.
    """
    held: tuple[float, float, str] | None = None
    for began, ended, words in spans:
        low, high = (began - start) * scale, (ended - start) * scale
        text = f"{words}: {ms((ended - began) / 1e9)} ms"
        if held is not None and low - held[1] < 0.5:
            held = (held[0], max(high, held[1]), held[2])
            continue
        if held is not None:
            yield held[0], max(held[1] - held[0], 0.5), held[2]
        held = (low, high, text)
    if held is not None:
        yield held[0], max(held[1] - held[0], 0.5), held[2]


def _longest(line: LineCost) -> float:
    return max(line.wait_seconds, line.worker_seconds + line.idle_seconds)


def _bars(svg: Svg, lines: list[LineCost], y: float) -> None:
    """Draw two bars a line: what the client waited, above what the worker computed and was idle."""
    svg.text(_MARGIN, y - 12, "the dearest lines", size=12, bold=True)
    left, room = _MARGIN + _LABEL, _WIDTH - 2 * _MARGIN - _LABEL - 90
    scale = room / max((_longest(line) for line in lines), default=1.0)
    for line in lines:
        svg.text(_MARGIN, y + 12, Svg.fitting(str(line.place), _LABEL - 8, 11), size=11, bold=True)
        svg.text(_MARGIN, y + 25, Svg.fitting(line.place.text, _LABEL - 8, 10), size=10, fill="#666666")
        svg.rect(left, y + 2, line.wait_seconds * scale, 11, _WAIT, title=f"waits {ms(line.wait_seconds)} ms")
        work, idle = line.worker_seconds * scale, line.idle_seconds * scale
        svg.rect(left, y + 15, work, 11, _WORK, title=f"computes {ms(line.worker_seconds)} ms")
        svg.rect(left + work, y + 15, idle, 11, _IDLE, title=f"idle {ms(line.idle_seconds)} ms")
        if line.wait_seconds:
            svg.text(left + line.wait_seconds * scale + 4, y + 12, f"{ms(line.wait_seconds)} ms", size=10)
        svg.text(left + work + idle + 4, y + 25, f"{ms(line.worker_seconds)} ms", size=10, fill="#666666")
        y += _ROW * 1.6
