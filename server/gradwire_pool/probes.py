"""Asking a worker whether it answers: `grpc.health.v1`, which a hung process does not."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio

from gradwire_pool.doors import Doors

__all__ = ["is_answering"]

_PROBE_SECONDS = 2.0
# A proxy of the environment must not stand between the processes of a pool.
_OPTIONS = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))


async def is_answering(address: str, doors: Doors) -> bool:
    """Return whether the worker at an address answers in time, whatever it answers."""
    async with doors.channel(address, _OPTIONS) as channel:
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            await check(b"", timeout=_PROBE_SECONDS, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            # A refusal is an answer too.
            return error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    return True
