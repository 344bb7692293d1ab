"""Which gradwire this is, and which PyTorch it follows: scripts under `gradwire run` ask for the latter."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["TorchVersion", "__version__", "torch_version"]

__version__ = "0.1.0"


class TorchVersion(str):
    """A version that is text, and compares by its numbers: with text or with tuples, as `torch.__version__` does."""

    __slots__ = ()

    def __lt__(self, other: Any) -> bool:
        return _release(self) < _release(other)

    def __le__(self, other: Any) -> bool:
        return _release(self) <= _release(other)

    def __gt__(self, other: Any) -> bool:
        return _release(self) > _release(other)

    def __ge__(self, other: Any) -> bool:
        return _release(self) >= _release(other)


def _release(version: Any) -> tuple[int, ...]:
    """Return the leading numbers, without zeros at the end: 2.1 and 2.1.0 are one release."""
    if isinstance(version, str):
        found = re.match(r"\d+(\.\d+)*", version)
        version = found.group().split(".") if found else ()
    numbers = [int(number) for number in version]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


# The release whose names, words and defaults are followed; what stands behind the + says that it is not that release.
torch_version = TorchVersion(f"2.13.0+gradwire.{__version__}")

# The client is not built against any of these; which device a worker has is asked of `gradwire.cuda`.
cuda: str | None = None
hip: str | None = None
xpu: str | None = None
git_version = "gradwire"
debug = False
