"""What failed on the worker, each with the user's line, until a wait raises it."""

from __future__ import annotations

from gradwire import callsite
from gradwire_protocol import codec
from gradwire_protocol.v1 import failure_pb2

__all__ = ["Failures"]


class Failures:
    """The failures of one session."""

    def __init__(self) -> None:
        """Start with none."""
        self._pending: list[Exception] = []
        self._known: dict[tuple[int, int], Exception] = {}
        self.program_lines: dict[str, list[str]] = {}  # by digest: the user's line of each call

    def note(self, failure: failure_pb2.Failure, sites: list[callsite.Site]) -> None:
        """Remember a failed call, to be raised at the next wait."""
        key = (failure.batch, failure.call)
        known = self._known.get(key)
        if known is None:
            error = codec.decode_failure(failure)
            where = callsite.describe(sites[failure.call]) if failure.call < len(sites) else "a line no longer known"
            text = (
                f"{error}\n  raised on the worker by {failure.op}, called at {where}; nothing of that call was applied"
            )
            if failure.program_call:
                text = f"{error}\n  raised on the worker by a program, called at {where}, in {self._inner(failure)}"
            known = self._known[key] = type(error)(text)
        if all(known is not pending for pending in self._pending):
            self._pending.append(known)

    def _inner(self, failure: failure_pb2.Failure) -> str:
        """Name the call of a program that failed; what came before it in the program was applied."""
        digest = failure.op.rpartition("'")[0].rpartition("'")[2]
        lines = self.program_lines.get(digest, [])
        number = failure.program_call
        where = f"the call of {lines[number - 1]}" if number <= len(lines) else f"its call {number}"
        if failure.program_step:
            return (
                f"step {failure.program_step} of the loop, {where}; the steps before, and what comes before that in the "
                "program, were applied"
            )
        return f"{where}; what comes before that in the program was applied"

    def refused(self, failure: failure_pb2.Failure) -> None:
        """Remember that a batch was refused: later ones build on it, so nothing after it can run."""
        error = codec.decode_failure(failure)
        text = f"{error}\n  the session ends here; call gradwire.connect() for another one"
        self._pending.append(type(error)(text))

    def raise_first(self) -> None:
        """Raise the first failure that no wait has raised yet; the later ones usually follow from it."""
        if self._pending:
            first, self._pending = self._pending[0], []
            # A new object each time, so that a traceback does not grow with every raise.
            raise type(first)(str(first))

    def error_of(self, failure: failure_pb2.Failure) -> Exception:
        """Return a new error for a failure, in the words in which it was noted."""
        known = self._known.get((failure.batch, failure.call))
        return type(known)(str(known)) if known is not None else codec.decode_failure(failure)
