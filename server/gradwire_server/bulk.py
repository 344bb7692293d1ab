"""The bulk plane of a worker: `bulk.proto`'s methods, over raw messages. What travels in them is `gradwire_protocol.bulk`'s."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc
import numpy as np

from gradwire_protocol import codec, limits
from gradwire_protocol.bulk import Bytes, Receiver, Ring, as_bytes, chunk_parts
from gradwire_protocol.errors import BatchMalformed, TransferDamaged, WorkerLost
from gradwire_protocol.meta import Meta
from gradwire_protocol.shared_memory import Segment
from gradwire_protocol.told import told
from gradwire_protocol.v1 import bulk_pb2
from gradwire_server.backend import CudaBackend
from gradwire_server.engine import Array
from gradwire_server.opened import Opened
from gradwire_server.store import Poisoned
from gradwire_server.unkept import Unkept

__all__ = ["BulkPlane"]

Messages = Iterator[bytes]


class BulkPlane:
    """Transfers of the sessions that `find` returns by their token and a call's context; it raises where there is none."""

    def __init__(self, find: Callable[[bytes, Any], Opened]) -> None:
        """Serve these sessions."""
        self._find = find

    def handler(self) -> Any:
        """Return what a gRPC server registers."""
        methods: dict[str, Any] = {
            "Share": grpc.unary_unary_rpc_method_handler(self.share),
            "Upload": grpc.stream_stream_rpc_method_handler(self.upload),
            "Download": grpc.stream_stream_rpc_method_handler(self.download),
        }
        return grpc.method_handlers_generic_handler("gradwire.v1.Bulk", methods)

    def share(self, message: bytes, context: Any) -> bytes:
        """Offer shared memory. Only a client that can open it learns the secret that transfers in it need."""
        try:
            segment = self._find(bulk_pb2.ShareRequest.FromString(message).token, context).share()
        except Exception as error:
            return bulk_pb2.ShareReply(failure=codec.encode_failure(error)).SerializeToString()
        if segment is None:
            return b""
        return bulk_pb2.ShareReply(
            process=os.getpid(),
            descriptor=segment.descriptor,
            nonce=segment.nonce,
            slots=len(segment.uploads),
            slot_bytes=segment.slot_bytes,
        ).SerializeToString()

    # -- uploads -------------------------------------------------------------------------------------------------------

    def upload(self, messages: Messages, context: Any) -> Iterator[bytes]:
        """Receive tensors, one after the other."""
        try:
            for message in messages:
                yield from self._receive(_header(message), messages, context)
        except Exception as error:
            _abort(context, error)

    def _receive(self, header: bulk_pb2.UploadHeader, messages: Messages, context: Any) -> Iterator[bytes]:
        meta = codec.decode_meta(header.meta)
        if meta is None:
            raise BatchMalformed("an upload's header must have a dtype; got none")
        opened = self._find(header.token, context)
        segment, uploads, number = opened.segment(header.secret), opened.session.uploads, header.upload
        if segment is not None:
            opened.uploaded.claim(header.stream)
        is_needed = uploads.begin(number)
        refusal = opened.session.meter.upload_refusal(meta.nbytes, uploads.ready_bytes) if is_needed else None
        try:
            host: Any = None
            receiver: Receiver | Unkept = Unkept(meta.nbytes - header.start, is_slotted=segment is not None)
            if is_needed and refusal is None:
                host, receiver = _receiver(opened, header, meta, segment)
            while not receiver.is_done:
                message = _next(messages, receiver, meta)
                if segment is None:
                    freed = receiver.take(message)
                else:
                    freed, is_whole = _slot(opened, header, receiver, message)
                    if is_whole:
                        _finish(opened, header, host, refusal)  # before the client hears of it, and forgets it
                uploads.moved()
                if freed:
                    yield bulk_pb2.Freed(slots=freed).SerializeToString()
        except TransferDamaged as error:
            # The stream is whole, and goes on with the next transfer.
            uploads.fail(number, error)
        except BatchMalformed as error:
            uploads.fail(number, error)
            raise
        else:
            # Of a transfer in chunks that was cut off nothing is kept: its client sends it again.
            if segment is None or not meta.nbytes:
                _finish(opened, header, host, refusal)

    # -- downloads -----------------------------------------------------------------------------------------------------

    def download(self, messages: Messages, context: Any) -> Iterator[bytes]:
        """Send tensors, one after the other, each when it is asked for."""
        rings: dict[bytes, Ring] = {}

        def freed() -> int:
            message = next(messages, None)
            if message is None:
                raise WorkerLost("the client ended a download before it had all of it")
            return bulk_pb2.DownloadRequest.FromString(message).freed.slots

        try:
            for message in messages:
                request = bulk_pb2.DownloadRequest.FromString(message)
                if request.HasField("wanted"):
                    yield from self._send(request.wanted, rings, freed, context)
                else:
                    for ring in rings.values():
                        ring.freed(request.freed.slots)
        except Exception as error:
            _abort(context, error)

    def _send(
        self, wanted: bulk_pb2.DownloadRequest.Wanted, rings: dict[bytes, Ring], freed: Callable[[], int], context: Any
    ) -> Iterator[bytes]:
        try:
            opened = self._find(wanted.token, context)
            segment = opened.segment(wanted.secret)
            source = _Source(opened, wanted.handle)
        except Exception as error:
            yield bulk_pb2.Part(failure=codec.encode_failure(error)).SerializeToString()
            return
        try:
            if segment is None:
                yield from chunk_parts(source.pieces(limits.CHUNK_BYTES))
            else:
                # One session, so one secret, per stream: the client's streams are its session's.
                opened.downloaded.claim(wanted.stream)
                turn = partial(opened.downloaded.turn, wanted.stream)
                ring = rings.setdefault(wanted.secret, Ring(segment.downloads, freed, turn))
                yield from ring.parts(source.pieces(segment.slot_bytes))
        finally:
            source.release()


class _Source:
    """The bytes of an array, as they were when the source was made.

    They may be the array's own memory, so the session runs no batch meanwhile. A batch that comes all the same gets its turn
    after a copy of what was not sent yet: most downloads are waited for, and cost no copy.
    """

    def __init__(self, opened: Opened, handle: int) -> None:
        """Look at an array; raise what poisoned it, or HandleNotFound."""
        self._opened, backend = opened, opened.session.engine.backend
        self._holds = True
        opened.lock.acquire()
        try:
            with backend.active():
                entry = opened.session.store.array(handle)
                if isinstance(entry, Poisoned):
                    raise codec.decode_failure(entry.failure)
                self._data = _host_bytes(entry, backend)
        except BaseException:
            self.release()
            raise
        if isinstance(backend, CudaBackend):
            self.release()  # it was copied from the device

    def pieces(self, size: int) -> Iterator[Bytes]:
        """Yield the bytes, `size` at a time."""
        data, start = self._data, 0
        while start < data.nbytes:
            if self._opened.is_wanted and self._holds:
                data, start = data[start:].copy(), 0
                self.release()
            yield data[start : start + size]
            start += size

    def release(self) -> None:
        """Let the session run batches."""
        if self._holds:
            self._holds = False
            self._opened.lock.release()


def _receiver(
    opened: Opened, header: bulk_pb2.UploadHeader, meta: Meta, segment: Segment | None
) -> tuple[Any, Receiver]:
    """Return memory for an upload, and what fills it: those of its first part, where it goes on after a break."""
    if header.start:
        return opened.uploaded.go_on(header.stream, header.upload, header.start)
    host = np.empty(meta.shape, meta.dtype.numpy)
    receiver = Receiver(as_bytes(host), f"an upload of {meta}", None if segment is None else segment.uploads)
    if segment is not None:
        opened.uploaded.begin(header.stream, header.upload, host, receiver)
    return host, receiver


def _slot(
    opened: Opened, header: bulk_pb2.UploadHeader, receiver: Receiver | Unkept, message: bytes
) -> tuple[int, bool]:
    """Take a message of a transfer in slots; return how many it freed, and whether the transfer is whole."""
    with opened.uploaded.turn(header.stream):
        return receiver.take(message), receiver.is_done


def _finish(opened: Opened, header: bulk_pb2.UploadHeader, host: Any, refusal: Exception | None) -> None:
    """Hand an upload over that came whole, or why it is not taken."""
    if refusal is not None:
        opened.session.uploads.fail(header.upload, refusal)
    elif host is not None:
        opened.session.uploads.finish(header.upload, host)
        opened.uploaded.end(header.upload)


def _abort(context: Any, error: Exception) -> None:
    # Not in the handler's frame: an error that a name of a frame in its own traceback refers to is a cycle, and keeps the session.
    shown = told(error)
    error.__traceback__ = None  # grpcio keeps its own errors with the call
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{type(shown).__name__}: {shown}")


def _host_bytes(entry: Array, backend: Any) -> Bytes:
    return as_bytes(np.ascontiguousarray(backend.to_host(entry.data)))


def _header(message: bytes) -> bulk_pb2.UploadHeader:
    part = bulk_pb2.Part.FromString(message)
    if part.WhichOneof("part") != "header":
        raise BatchMalformed(f"an upload must begin with its header; got {part.WhichOneof('part')}")
    return part.header


def _next(messages: Messages, receiver: Receiver | Unkept, meta: Meta) -> bytes:
    message = next(messages, None)
    if message is None:
        raise WorkerLost(
            f"an upload of {meta} has {meta.nbytes} bytes; its stream ended after {receiver.position}; send it again"
        )
    return message
