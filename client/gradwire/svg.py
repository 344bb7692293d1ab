"""Drawings as SVG text: rectangles, lines, arrows, words. Knows nothing of what is drawn."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from os import PathLike

__all__ = ["Svg"]

# Characters of the font below are this wide, in parts of its size: near enough to leave room for words.
_WIDTH = 0.6
_FONT = "ui-monospace, Menlo, Consolas, monospace"


class Svg:
    """A drawing, in pixels from its upper left corner. What is drawn later lies on top.

    `title` is what a browser shows while the pointer is on a shape.
    """

    def __init__(self, width: float, height: float, background: str = "#ffffff") -> None:
        """Start an empty drawing."""
        self.width, self.height = width, height
        self._parts: list[str] = []
        self._has_arrows = False
        self.rect(0, 0, width, height, background)

    def rect(
        self, x: float, y: float, width: float, height: float, fill: str, *, stroke: str = "none", radius: float = 0,
        title: str = "",
    ) -> None:  # fmt: skip
        """Draw a rectangle."""
        self._shape(
            "rect", title, x=x, y=y, width=max(width, 0), height=max(height, 0), fill=fill, stroke=stroke, rx=radius
        )

    def line(
        self, points: Iterable[tuple[float, float]], *, stroke: str = "#888888", width: float = 1, arrow: bool = False,
        dashed: bool = False, title: str = "",
    ) -> None:  # fmt: skip
        """Draw a line through points, with an arrow's head at its end if wanted."""
        self._has_arrows = self._has_arrows or arrow
        more: dict[str, float | str] = {"marker-end": "url(#arrow)"} if arrow else {}
        more["stroke-width"] = width
        if dashed:
            more["stroke-dasharray"] = "4 3"
        path = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
        self._shape("polyline", title, points=path, fill="none", stroke=stroke, **more)

    def text(
        self, x: float, y: float, words: str, *, size: float = 12, fill: str = "#222222", anchor: str = "start",
        bold: bool = False,
    ) -> None:  # fmt: skip
        """Write words whose base line is at `y`; `anchor` says which part of them is at `x`: start, middle or end."""
        if anchor not in ("start", "middle", "end"):
            raise ValueError(f"an anchor must be start, middle or end; got {anchor!r}")
        more: dict[str, float | str] = {"font-size": size, "text-anchor": anchor}
        if bold:
            more["font-weight"] = "bold"
        given = _attributes(x=x, y=y, fill=fill, **more)
        self._parts.append(f'<text {given} xml:space="preserve">{escape(words, quote=False)}</text>')

    @staticmethod
    def fitting(words: str, width: float, size: float = 12) -> str:
        """Return the words, or their beginning, so that they fit into a width."""
        room = int(width / (size * _WIDTH))
        return words if len(words) <= room else words[: room - 1] + "…" if room > 1 else ""

    @staticmethod
    def text_width(words: str, size: float = 12) -> float:
        """Return about how wide words are."""
        return len(words) * size * _WIDTH

    def __str__(self) -> str:
        """Return the file's text."""
        size = _attributes(width=self.width, height=self.height)
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {_number(self.width)} {_number(self.height)}" '
        marker = (
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0L8 4L0 8z" fill="#888888"/></marker></defs>\n'
        )
        return "".join([
            head, f"font-family=\"{_FONT}\">\n", marker if self._has_arrows else "", "\n".join(self._parts), "\n</svg>\n",
        ])  # fmt: skip

    def write(self, path: str | PathLike[str]) -> None:
        """Write the file."""
        with open(path, "w", encoding="utf-8") as file:
            file.write(str(self))

    def _shape(self, kind: str, title: str, **attributes: float | str) -> None:
        inner = f"><title>{escape(title, quote=False)}</title></{kind}>" if title else "/>"
        self._parts.append(f"<{kind} {_attributes(**attributes)}{inner}")


def _attributes(**given: float | str) -> str:
    return " ".join(
        f'{name}="{escape(value) if isinstance(value, str) else _number(value)}"' for name, value in given.items()
    )


def _number(value: float) -> str:
    """Return a number with two digits after the point at most: a hundredth of a pixel is not seen."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
