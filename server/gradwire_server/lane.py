"""The one lane of a device: one session's batch at a time, in the order that `scheduler.Rounds` says.

Without it the threads of all sessions ask for the interpreter after every kernel that lets go of it, and each waits for it anew.

The lane is a courtesy, not a lock: nothing's safety rests on it. A batch that takes long keeps the others waiting only for
`OVERDUE_SECONDS`, then runs on beside them, and one that waits for something else (an upload, another worker) steps aside at
once. So no batch can block a session, whatever it waits for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from gradwire_server.scheduler import Rounds, Share

__all__ = ["OVERDUE_SECONDS", "Lane", "Turn", "step_aside"]

# A few eager batches. What is longer has kernels that run outside the interpreter, beside others; at four times this, the others'
# slowest steps beside one that floods took twice as long.
OVERDUE_SECONDS = 0.005

_here = threading.local()


class Turn(Share):
    """A session's place at the lane. One thread at a time uses it."""

    __slots__ = ("called", "lane")

    def __init__(self, lane: Lane) -> None:
        """Have a place, and not wait yet."""
        super().__init__()
        self.lane = lane
        self.called = threading.Lock()  # let go of by whoever calls the session
        self.called.acquire()


class Lane:
    """Who runs, and who waits."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, overdue_seconds: float = OVERDUE_SECONDS) -> None:
        """Start empty."""
        self._rounds: Rounds[Turn] = Rounds()
        self._clock, self._overdue_seconds = clock, overdue_seconds
        self._mutex = threading.Lock()
        self._holder: Turn | None = None
        self._began = 0.0
        self._moved_at = 0.0  # when a session that waits was called last, or the first one came

    @property
    def waiting(self) -> int:
        """Return how many sessions wait."""
        return len(self._rounds)

    def still_seconds(self) -> float:
        """Return for how long sessions have waited of which none was called: hardly ever longer than what is overdue."""
        return self._clock() - self._moved_at if self._rounds else 0.0

    def enter(self, turn: Turn) -> None:
        """Wait until it is this session's turn, or until those before it are overdue."""
        _here.turn = turn
        with self._mutex:
            if self._holder is None:
                self._holder, self._began = turn, self._clock()
                return
            if not self._rounds:
                self._moved_at = self._clock()
            self._rounds.join(turn)
            # One call of the next session is enough for each batch that is overdue, so later ones look less often.
            patience = self._overdue_seconds * len(self._rounds)
        while not turn.called.acquire(timeout=patience):
            self.pass_overdue()

    def leave(self, turn: Turn, seconds: float) -> None:
        """Say that a batch has run, and for how long; the next session's turn comes."""
        _here.turn = None
        with self._mutex:
            self._rounds.charge(turn, seconds)
            if self._holder is turn:
                self._call_next()

    def pass_overdue(self) -> None:
        """Call the next session if the one that has the lane has had it for too long."""
        with self._mutex:
            if self._clock() - self._began >= self._overdue_seconds:
                self._call_next()

    def give_way(self, turn: Turn) -> None:
        """Let others run while this session's batch waits for something else."""
        with self._mutex:
            if self._holder is turn:
                self._call_next()

    def _call_next(self) -> None:
        self._holder = called = self._rounds.next()
        if called is not None:
            self._began = self._moved_at = self._clock()
            called.called.release()


def step_aside() -> None:
    """Let other sessions run: the batch that runs in this thread is about to wait for something else than the device."""
    turn: Turn | None = getattr(_here, "turn", None)
    if turn is not None:
        turn.lane.give_way(turn)
