"""`record_function`: a part of a script that has a name. Imported with gradwire, so it imports little itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from gradwire.profiling.recorder import Recorder

__all__ = ["record_function", "running"]

# The recorders of profiles that run.
running: list[Recorder] = []
_depths = threading.local()


class record_function:
    """Name a part of a script, `with record_function("forward"):` or as a decorator; profiles that run show it."""

    def __init__(self, name: str, args: str | None = None) -> None:
        """Prepare; `args` is shown behind the name."""
        self.name = name
        self.args = args
        self._begun: list[tuple[int, list[tuple[Recorder, int]]]] = []

    def __enter__(self) -> Self:
        _depths.now = getattr(_depths, "now", 0) + 1
        found = [(recorder, recorder.session.call_count) for recorder in running]
        self._begun.append((time.perf_counter_ns(), found))
        return self

    def __exit__(self, *_: object) -> None:
        _depths.now -= 1
        began_ns, found = self._begun.pop()
        name = self.name if self.args is None else f"{self.name}({self.args})"
        for recorder, first_call in found:
            recorder.note_range(name, threading.get_ident(), _depths.now, began_ns, first_call)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, which has the name at each call."""

        @wraps(function)
        def named(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name, self.args):
                return function(*args, **kwargs)

        return named
