"""The gRPC edge of a pool: `pool.proto` onto `pool.Pool`, in the same event loop. No state of its own."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc.aio

from gradwire_pool.doors import Doors, Guard
from gradwire_pool.placement import Request
from gradwire_pool.pool import Pool
from gradwire_pool.records import Lease, Member, Worker
from gradwire_pool.rendezvous import Group
from gradwire_protocol import codec
from gradwire_protocol.errors import GradwireError, WorkerLost
from gradwire_protocol.v1 import pool_pb2, pool_pb2_grpc

__all__ = ["open_gateway"]

log = logging.getLogger("gradwire.pool")

# A client that asks for longer asks again; a call that waits holds memory here.
_LONGEST_WAIT_SECONDS = 120.0
_MAX_MESSAGE_BYTES = 2 << 20
# Each that waits costs some KiB; one more is refused at once.
_MAX_CALLS = 4096


def _answered(reply: type, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return the method with its errors as the reply's `failure`; one that nobody foresaw is logged, and told without details."""

    async def call(self: Any, request: Any, context: Any) -> Any:
        try:
            return await method(self, request)
        except (GradwireError, ValueError) as error:
            return reply(failure=codec.encode_failure(error))
        except Exception:
            log.exception("a request failed")
            return reply(failure=codec.encode_failure(GradwireError("the gateway failed; its log says why")))

    return call


def _wait(seconds: float) -> float:
    # NaN compares false, and waits for nothing.
    return min(seconds, _LONGEST_WAIT_SECONDS) if seconds > 0 else 0.0


class Gateway(pool_pb2_grpc.PoolServicer):
    """Requests to the pool, each answered by its reply."""

    def __init__(self, pool: Pool) -> None:
        """Serve `pool`."""
        self._pool = pool

    def _shown(self, worker: Worker) -> Any:
        shown = pool_pb2.PoolWorker(
            name=worker.name,
            state=worker.state.value,
            incarnation=worker.incarnation,
            leases=self._pool.table.lease_count(worker.name),
            starts=worker.starts,
        )
        said = worker.said
        if said is not None:
            shown.address, shown.device, shown.node, shown.process = said.address, said.device, said.node, said.process
            shown.busy = said.busy
            shown.available_memory_bytes = said.available_memory_bytes
            shown.total_memory_bytes = said.total_memory_bytes
        return shown

    def _all_shown(self, members: Sequence[Member]) -> list[Any]:
        return [self._shown(self._pool.table.workers[member.worker]) for member in members]

    # -- leases --------------------------------------------------------------------------------------------------------

    async def _lease(self, request: Any) -> Any:
        asked = Request(request.workers, request.device, request.memory_bytes, request.exclusive)
        lease = await self._pool.lease(asked, request.client, _wait(request.wait_seconds))
        return pool_pb2.LeaseReply(
            lease=lease.number,
            workers=self._all_shown(lease.members),
            lease_seconds=self._pool.table.bounds.lease_seconds,
        )

    async def _renew(self, request: Any) -> Any:
        members = tuple(Member(m.worker, m.incarnation) for m in request.members)
        lease = Lease(request.lease, members, 0.0, request.exclusive, request.memory_bytes, request.client)
        self._pool.table.renew(lease, self._pool.now())
        lost = [m.worker for m in members if not self._pool.table.is_current(m)]
        return pool_pb2.RenewReply(lost=lost)

    async def _release(self, request: Any) -> Any:
        self._pool.table.release(request.lease)
        await self._pool.tell()
        return pool_pb2.ReleaseReply()

    async def _resolve(self, request: Any) -> Any:
        found = await self._pool.resolve(request.worker, request.after, _wait(request.wait_seconds))
        if found is None:
            raise WorkerLost(
                f"{request.worker} must serve again to be found; it does not yet, as an incarnation after "
                f"{request.after}; ask again"
            )
        return pool_pb2.ResolveReply(worker=self._shown(found))

    # -- the pool ------------------------------------------------------------------------------------------------------

    async def _status(self, request: Any) -> Any:
        table = self._pool.table
        workers = [self._shown(worker) for _, worker in sorted(table.workers.items())]
        return pool_pb2.StatusReply(workers=workers, leases=len(table.leases), number=table.last_number)

    async def _scale(self, request: Any) -> Any:
        self._pool.act(self._pool.table.scale(request.workers, self._pool.now()))
        await self._pool.tell()
        return pool_pb2.ScaleReply()

    async def _drain(self, request: Any) -> Any:
        for name in [request.worker] if request.worker else list(self._pool.table.workers):
            self._pool.act(self._pool.table.drain(name, self._pool.now()))
        return pool_pb2.DrainReply()

    # -- groups --------------------------------------------------------------------------------------------------------

    async def _create_group(self, request: Any) -> Any:
        group = self._pool.create_group(request.group, request.workers, request.lease)
        # Those who wait in the epoch before are told.
        await self._pool.tell()
        return pool_pb2.CreateGroupReply(epoch=group.epoch, secret=group.secret, workers=self._all_shown(group.members))

    async def _abort_group(self, request: Any) -> Any:
        group = self._entered(request)
        if request.close:
            self._pool.groups.close(group)
        else:
            self._pool.groups.abort(group, request.reason or "a member gave up")
        await self._pool.tell()
        return pool_pb2.AbortGroupReply()

    def _entered(self, request: Any) -> Group:
        return self._pool.groups.entered(request.group, request.epoch, request.secret)

    async def _store(self, request: Any) -> Any:
        act, reply = request.WhichOneof("act"), pool_pb2.StoreReply()
        group = self._entered(request)
        if act == "set":
            self._pool.groups.put(group, request.set.key, request.set.value)
        elif act == "add":
            reply.number = self._pool.groups.add(group, request.add.key, request.add.amount)
        elif act == "remove":
            for key in request.remove.keys:
                self._pool.groups.remove(group, key)
        elif act == "check":
            reply.found = all(key in group.values for key in request.check.keys)
        elif act in ("get", "wait"):
            return await self._awaited(request, [request.get.key] if act == "get" else request.wait.keys)
        else:
            raise ValueError("a store request needs one of set, get, add, check, wait, remove; got none")
        await self._pool.tell()
        return reply

    async def _awaited(self, request: Any, keys: Sequence[str]) -> Any:
        def attempt() -> bool | None:
            # Looked up each time: the epoch may have ended meanwhile, and says so.
            values = self._entered(request).values
            return True if all(key in values for key in keys) else None

        found = await self._pool.wait_for(attempt, _wait(request.wait_seconds))
        value = self._entered(request).values.get(keys[0], b"") if found and keys else b""
        return pool_pb2.StoreReply(found=bool(found), value=value)


for _name, _method in (
    ("Lease", Gateway._lease), ("Renew", Gateway._renew), ("Release", Gateway._release), ("Resolve", Gateway._resolve),
    ("Status", Gateway._status), ("Scale", Gateway._scale), ("Drain", Gateway._drain), ("Store", Gateway._store),
    ("CreateGroup", Gateway._create_group), ("AbortGroup", Gateway._abort_group),
):  # fmt: skip
    setattr(Gateway, _name, _answered(getattr(pool_pb2, f"{_name}Reply"), _method))


async def open_gateway(pool: Pool, listen: str, doors: Doors) -> tuple[grpc.aio.Server, str]:
    """Serve the pool on an address; return the server and the address with its port. Raises OSError if it is taken."""
    server = grpc.aio.server(
        interceptors=(Guard(doors, "gradwire.v1.Pool"),),
        maximum_concurrent_rpcs=_MAX_CALLS,
        options=(("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES)),
    )
    pool_pb2_grpc.add_PoolServicer_to_server(Gateway(pool), server)
    port = doors.bind(server, listen)
    await server.start()
    return server, f"{listen.rpartition(':')[0]}:{port}"
