"""Channels to workers and gateways: how one comes about, and what is said where it does not."""

from __future__ import annotations

import time
from typing import Any

import grpc

from gradwire.credentials import NOTHING, Credentials, why_closed, why_refused
from gradwire.resume import attempts
from gradwire_protocol import limits
from gradwire_protocol.errors import WorkerUnreachable

__all__ = ["HEALTH", "bulk_channel", "open_channel"]

HEALTH = "/grpc.health.v1.Health/Check"
# How long a connection may take before it is asked what keeps it.
_PROBE_SECONDS = 0.5
# How long connections that end without a word may be broken ones. Whoever wants TLS or a certificate ends them so too, and
# of that the script is to hear soon.
_BREAK_SECONDS = 3.0

_OPTIONS = (
    ("grpc.max_receive_message_length", limits.MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", limits.MAX_MESSAGE_BYTES),
    # A frozen peer is noticed after these, not after grpcio's default of a minute.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    # A proxy of the environment must not stand between a client and a worker on this machine.
    ("grpc.enable_http_proxy", 0),
)
_ALONE = (*_OPTIONS, ("grpc.use_local_subchannel_pool", 1))


def _target(address: str) -> str:
    """Return the gRPC target of an address; raise WorkerUnreachable for one that cannot be right."""
    if address.startswith("unix:"):
        return address
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise WorkerUnreachable(f"an address reads HOST:PORT or unix:PATH; got {address!r}")
    return address


def bulk_channel(address: str, credentials: Credentials = NOTHING) -> grpc.Channel:
    """Return a channel with a connection of its own, which is made at its first use."""
    return credentials.channel(_target(address), _ALONE)


class _Closed(Exception):
    """A connection ended without a word: it broke, or was refused."""


def open_channel(
    address: str, seconds: float, credentials: Credentials = NOTHING, *, is_alone: bool = False
) -> grpc.Channel:
    """Connect, or raise WorkerUnreachable: after `seconds`, or sooner where waiting does not help, as with a wrong certificate.

    Channels of one process to one address share a connection, unless `is_alone`. One that breaks before it is ready is made again.
    """
    deadline = time.monotonic() + seconds
    again = attempts(min(seconds, _BREAK_SECONDS))
    next(again, None)
    while True:
        channel = credentials.channel(_target(address), _ALONE if is_alone else _OPTIONS)
        try:
            return _ready(channel, address, credentials, deadline, seconds)
        except BaseException as error:
            channel.close()
            if not isinstance(error, _Closed):
                raise
            reason = str(error)
        if next(again, None) is None:  # after a pause
            raise WorkerUnreachable(f"a worker must be reached at {address}; {reason}")


def _ready(
    channel: grpc.Channel, address: str, credentials: Credentials, deadline: float, seconds: float
) -> grpc.Channel:
    ready = grpc.channel_ready_future(channel)
    while True:
        left = deadline - time.monotonic()
        try:
            ready.result(timeout=max(min(left, _PROBE_SECONDS), 0.0))
        except grpc.FutureTimeoutError:
            _check_unready(channel, address, credentials, left, seconds)
        else:
            return channel


def _check_unready(channel: grpc.Channel, address: str, credentials: Credentials, left: float, seconds: float) -> None:
    """Raise what says why a connection cannot come about, or that its time is over."""
    words = _last_words(channel)
    if reason := why_refused(words):
        raise WorkerUnreachable(f"a worker must be reached at {address}; {reason}")
    if reason := why_closed(words, credentials):
        raise _Closed(reason)
    if left <= _PROBE_SECONDS:
        raise WorkerUnreachable(
            f"a worker must listen at {address}; none answered within {seconds:g} s. Start one with: gradwire worker "
            f"--listen {address}"
        )


def _last_words(channel: grpc.Channel) -> str:
    """Return how the last attempt to connect ended: a call says it, and nothing else does."""
    check: Any = channel.unary_unary(HEALTH, request_serializer=None, response_deserializer=None)
    try:
        check(b"", timeout=_PROBE_SECONDS)
    except grpc.RpcError as error:
        call: Any = error
        return call.details() or ""
    return ""
