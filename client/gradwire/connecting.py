"""`connect`: from an address, several, a pool's gateway or nothing at all to sessions."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable
from typing import Any

from gradwire import embedded, resume
from gradwire.credentials import NOTHING, Credentials
from gradwire.session import Session, use
from gradwire.transport import Connection, GrpcConnection
from gradwire.workers import connect_all
from gradwire_protocol.errors import LimitExceeded

__all__ = ["connect", "opened"]


def connect(
    address: Any = None,
    *,
    workers: int | None = None,
    connect_seconds: float = 10.0,
    reconnect_seconds: float | None = None,
    wait_seconds: float = 0.0,
    public_stream: bool = False,
    token: str | None = None,
    tls_ca: str | None = None,
    tls_certificate: str | None = None,
    tls_key: str | None = None,
    **needs: Any,
) -> Any:
    """Open a session and make it the one that new tensors live in.

    `address` is HOST:PORT or unix:PATH; None means GRADWIRE_ADDRESS, or an embedded worker where that is not set. A list of
    addresses opens a session with each and returns them: the devices `cpu:0`, `cpu:1`, ... (`cuda:0`, ... on GPU workers), of
    which the first is the one that new tensors live in.

    pool://HOST:PORT, or HOST:PORT with `workers`, is the gateway of a pool, which lends that many workers (a list then is
    returned) or one. `device`, `memory_bytes` and `exclusive` say which will do; NoWorkerFree is raised where none would.

    A connection that breaks is made anew, for up to `reconnect_seconds` (GRADWIRE_RECONNECT_SECONDS, else 30; 0: never), and the
    session goes on: nothing is lost, and nothing happens twice.

    A worker that has no room for another session is asked again for up to `wait_seconds`, when it says; then, or at once where that
    is 0, LimitExceeded is raised. Not for a pool, which raises NoWorkerFree at once.

    `token` says who the client is. `tls_ca` names the PEM file of the authority that signed the worker's certificate, and turns
    TLS on; `tls_certificate` and `tls_key` are the client's own, for workers that ask for one. What is None comes from
    GRADWIRE_TOKEN, GRADWIRE_TLS_CA, GRADWIRE_TLS_CERTIFICATE and GRADWIRE_TLS_KEY.
    """
    credentials = Credentials.given(token, tls_ca, tls_certificate, tls_key)
    options: dict[str, Any] = {
        "connect_seconds": connect_seconds,
        "reconnect_seconds": reconnect_seconds,
        "public_stream": public_stream,
        "credentials": credentials,
    }
    if address is None:
        address = os.environ.get("GRADWIRE_ADDRESS")
    if workers is not None or (isinstance(address, str) and address.startswith("pool://")):
        if wait_seconds:
            raise TypeError(
                f"connect takes wait_seconds for workers' own addresses; a pool lends none later; got {wait_seconds}"
            )
        from gradwire.pool import connect_lent

        return connect_lent(
            address, workers, needs, lambda one, wrap: opened(one, **options, wrap=wrap), connect_seconds, credentials
        )
    if needs:
        raise TypeError(f"connect takes {', '.join(needs)} for a pool only; give pool://HOST:PORT, or workers=")
    options["wait_seconds"] = wait_seconds
    if address is None or isinstance(address, str):
        return use(opened(address, **options))
    return connect_all(list(address), lambda one: opened(one, **options), use)


def opened(
    address: str | None,
    connect_seconds: float = 10.0,
    reconnect_seconds: float | None = None,
    public_stream: bool = False,
    wrap: Callable[[Connection], Connection] | None = None,
    credentials: Credentials | None = None,
    wait_seconds: float = 0.0,
) -> Session:
    """Open one session, which is not the current one; see `connect`. `wrap` may put something around its connection."""
    seconds = resume.reconnect_seconds(reconnect_seconds)
    credentials = Credentials.given() if credentials is None else credentials
    address = address or os.environ.get("GRADWIRE_ADDRESS")
    worker = None
    if not address:
        worker = embedded.start()
        address, credentials = worker.address, NOTHING  # its socket is this user's alone

    def ask() -> Session:
        connection: Connection = GrpcConnection(
            address, connect_seconds=connect_seconds, public_stream=public_stream, credentials=credentials
        )
        return Session(connection if wrap is None else wrap(connection), worker, seconds)

    try:
        session = _when_there_is_room(ask, wait_seconds)
    except BaseException:
        if worker is not None:
            worker.stop()
        raise
    atexit.register(session.close)
    return session


def _when_there_is_room(ask: Callable[[], Session], wait_seconds: float) -> Session:
    """Ask for a session until there is one; raise LimitExceeded when the time is up."""
    end = time.monotonic() + wait_seconds
    while True:
        try:
            return ask()
        except LimitExceeded as error:
            left = end - time.monotonic()
            if left <= 0 or not error.retry_after_seconds:
                raise
            time.sleep(min(error.retry_after_seconds, left))
