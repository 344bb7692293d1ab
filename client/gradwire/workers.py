"""The workers of one script: which session is which device, and where new tensors go. Opens nothing; sends only by flushing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from gradwire.device import Device, check_device
from gradwire_protocol.errors import GradwireError

if TYPE_CHECKING:
    from gradwire.session import Session

__all__ = ["Fleet", "connect_all", "mixed_devices", "on", "place", "placement", "reconnect", "session_of"]


class Fleet:
    """The sessions that one `connect` opened, a device each: `cpu:0`, `cpu:1` and `cuda:0` are numbered by type."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        """Name the sessions' devices, in their order."""
        self.sessions = list(sessions)
        self.main = self.sessions[0]
        counts: dict[str, int] = {}
        for session in self.sessions:
            kind = session.welcome.device.partition(":")[0]
            session.fleet, session.name = self, f"{kind}:{counts.get(kind, 0)}"
            counts[kind] = counts.get(kind, 0) + 1
        self.open_one: Callable[[str], Session] | None = None  # as the others were opened, credentials included
        self._flushing = False

    def find(self, wanted: Device) -> Session:
        """Return the session of a device, of the main one for a type alone; raise PyTorch's RuntimeError for no such device."""
        alike = [session for session in self.sessions if Device(session.device).type == wanted.type]
        if wanted.index is None and alike:
            return self.main if self.main in alike else alike[0]
        if not alike:
            check_device(wanted, self.main)
        for session in alike:
            if session.device == str(wanted):
                return session
        raise RuntimeError(
            f"invalid device ordinal: {wanted}; this script is connected to {', '.join(s.device for s in self.sessions)}"
        )

    def settle(self) -> None:
        """Wait until every worker ran what it was sent: one that ends would take along what another still fetches from it."""
        for session in self.sessions:
            if not session.is_closed:
                with suppress(GradwireError):
                    session.flush()
        for session in self.sessions:
            if not session.is_closed:
                with suppress(GradwireError):
                    session.drain()

    def replace(self, lost: Session, found: Session) -> None:
        """Let a new session stand for a device whose worker is lost. Tensors of the old one stay lost."""
        index = self.sessions.index(lost)
        found.fleet, found.name = self, lost.name
        self.sessions[index] = found
        self.main = found if self.main is lost else self.main

    def flush_others(self, waiting: Session) -> None:
        """Send what lies ready for the other workers, since `waiting` may wait for one of them.

        One that another thread uses is left alone: that thread sends before it waits. And not while the others are being
        sent already: `waiting` may be in the middle of a batch, which nothing may overtake.
        """
        if self._flushing:
            return
        self._flushing = True
        try:
            for session in self.sessions:
                if session is not waiting and not session.is_closed and session.lock.acquire(blocking=False):
                    try:
                        session.flush()
                    finally:
                        session.lock.release()
        finally:
            self._flushing = False


class _Placement(threading.local):
    """Where this thread makes new tensors: None for the current session."""

    session: Session | None = None

    def __init__(self) -> None:
        self.previous: list[Session | None] = []


placement = _Placement()


@contextmanager
def on(session: Session) -> Iterator[None]:
    """Make new tensors on a session's worker until the end of the block."""
    previous, placement.session = placement.session, session
    try:
        yield
    finally:
        placement.session = previous


def session_of(device: Any, near: Session) -> Session:
    """Return the session whose worker is `device`, among those connected with `near`; raise RuntimeError for none."""
    wanted = Device(device)
    if near.fleet is None:
        check_device(wanted, near)
        return near
    return near.fleet.find(wanted)


def place(device: Any) -> Session | None:
    """Return the session of the device that a script asked for by name; None where it asked for none."""
    if device is None:
        return None
    from gradwire import session as sessions

    return session_of(device, sessions.current())


def connect_all(
    addresses: Sequence[str], open_one: Callable[[str], Session], use: Callable[[Session], Session]
) -> list[Session]:
    """Open a session with each worker and `use` the first; end those that opened if one does not."""
    if not addresses:
        raise ValueError("connect needs the address of one worker or more; got an empty list")
    opened: list[Session] = []
    try:
        for address in addresses:
            opened.append(open_one(address))
    except BaseException:
        for session in opened:
            session.close()
        raise
    fleet = Fleet(opened)
    fleet.open_one = open_one
    use(opened[0])
    return fleet.sessions


def reconnect(device: Any, address: str) -> Session:
    """Open a session with another worker for a device whose worker is lost, and return it.

    The tensors of the lost one stay lost. Among a pool's workers `gradwire.pool.replace` finds the replacement itself.
    """
    from gradwire import session as sessions

    current = sessions._current
    if current is None or current.fleet is None or current.fleet.open_one is None:
        raise ValueError(f"reconnect needs a script with several workers; got device {device}, address {address}")
    lost = current.fleet.find(Device(device))
    found = current.fleet.open_one(address)
    lost.close()
    current.fleet.replace(lost, found)
    if current is lost:
        sessions.use(found)
    return found


def mixed_devices(first: Session, second: Session) -> RuntimeError:
    """Return PyTorch's error for a call whose tensors are on two workers."""
    names = (first.device, second.device)
    if first.fleet is None or first.fleet is not second.fleet:
        names = (f"{first.device} at {first.address}", f"{second.device} at {second.address}")
    return RuntimeError(
        f"Expected all tensors to be on the same device, but found at least two devices, {names[0]} and {names[1]}!"
    )
