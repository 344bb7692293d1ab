"""Asking processes over gRPC: does a worker answer, what does a gateway say."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio

from gradwire_protocol.v1 import pool_pb2, pool_pb2_grpc

__all__ = ["ask_status", "is_answering"]

_PROBE_SECONDS = 2.0
# A proxy of the environment must not stand between the processes of a pool.
_OPTIONS = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))


async def is_answering(address: str) -> bool:
    """Return whether the worker at an address answers `grpc.health.v1` in time, whatever it answers."""
    async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            await check(b"", timeout=_PROBE_SECONDS, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            # A refusal is an answer too.
            return error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    return True


def ask_status(address: str, seconds: float) -> Any | None:
    """Return a gateway's status, or None if nobody answers in time."""
    with grpc.insecure_channel(address, options=_OPTIONS) as channel:
        try:
            return pool_pb2_grpc.PoolStub(channel).Status(pool_pb2.StatusRequest(), timeout=seconds)
        except grpc.RpcError:
            return None
