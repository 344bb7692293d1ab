"""Large tensors on their way to and from a worker: on a channel of their own, beside the calls.

An upload returns once its elements are copied, into memory that the worker shares where it is on this machine, else into
chunks that a thread sends. What becomes of it is for the call to say that takes it, so nothing here waits for an answer.

Where the connection breaks, transfers go on over the next one: chunks are kept until the batch of that call is acknowledged, to be
sent again, and what went through shared memory is there until the worker has read it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np

from gradwire import transport
from gradwire.credentials import NOTHING, Credentials
from gradwire.resume import attempts
from gradwire.slots import SlotUploads
from gradwire_protocol import codec, limits, shared_memory
from gradwire_protocol.addresses import is_local
from gradwire_protocol.bulk import Bytes, Receiver, as_bytes, chunk_writers, pieces
from gradwire_protocol.errors import AccessDenied, GradwireError, ProtocolError, WorkerLost, WorkerUnreachable
from gradwire_protocol.meta import Meta
from gradwire_protocol.shared_memory import Segment
from gradwire_protocol.v1 import bulk_pb2

__all__ = ["Bulk", "Outbox"]

_SERVICE = "/gradwire.v1.Bulk/"
_SHARE_SECONDS = 10.0
# For how long a transfer is tried again whose connection breaks, where the link does not say.
_RETRY_SECONDS = 30.0
_ONCE_SECONDS = 0.01
# A worker that is gone is noticed by pings, so this bounds nothing but a store that never answers.
_LONG_SECONDS = 86_400.0
# While an answer is awaited, slots that nothing was heard of are named again at times: a stream's end is seen only by who uses it.
_SLOTS_AGAIN_SECONDS = 5.0


class Bulk:
    """The bulk plane of one session. Any thread may use it."""

    def __init__(self, address: str, token: bytes, credentials: Credentials = NOTHING) -> None:
        """Prepare; the connection is made at the first transfer."""
        self._credentials = credentials
        self._kept: dict[int, _Kept] = {}  # by number, in order
        self.is_gone: Callable[[], bool] = lambda: False  # whether the worker's process is known to have ended
        self.retry_seconds = _RETRY_SECONDS
        self._address, self._token = address, token
        self._opening = threading.Lock()
        self._uploading, self._downloading = threading.Lock(), threading.Lock()
        self._channel: grpc.Channel | None = None
        self._segment: Segment | None = None
        self._slots: SlotUploads | None = None  # in the segment
        self._slots_sent_at = 0.0
        self._slot_stream: transport.Stream | None = None
        self._uploads: _Uploads | None = None
        self._downloads: transport.Stream | None = None
        self._number = 0
        self._download_streams = 0

    @property
    def is_shared(self) -> bool:
        """Return whether transfers go through memory that the worker shares; asks it where it was not yet asked."""
        self._open()
        return self._segment is not None

    def upload(self, values: np.ndarray[Any, Any], meta: Meta, batch: int) -> int:
        """Copy a C-contiguous array, send it, and return the number that a gw::upload call takes it by.

        That call is in `batch` or soon after. Waits only while much is on its way already. Raises WorkerLost if the worker
        cannot be reached.
        """
        with self._uploading:
            self._number += 1
            header = bulk_pb2.UploadHeader(
                token=self._token, upload=self._number, meta=codec.encode_meta(Meta.of(meta.shape, meta.dtype))
            )
            if self.is_shared:
                self._upload_in_slots(header, as_bytes(values))
                return self._number
            stream, kept = self._upload_stream(), _Kept(header, np.empty(values.nbytes, np.uint8), batch)
            self._kept[self._number] = kept
            chunks = kept.copied(as_bytes(values))
            try:
                stream.send(header, chunks)
            except WorkerLost:
                deque(chunks, 0)  # the copy must be whole
                self._uploads = _closed(self._uploads)
                self._send_again()
            except BaseException:
                # Half a transfer may be in the stream, so nothing else can follow in it; and half a copy is not sent again.
                self._kept.pop(self._number, None)
                self._uploads = _closed(self._uploads)
                raise
            return self._number

    def _upload_in_slots(self, header: bulk_pb2.UploadHeader, data: Bytes) -> None:
        assert self._slots is not None
        self._slots.begin(header, data)
        try:
            self._with_slots(self._slots.go_on)
        except BaseException:
            self._leave_slots()
            self._slots.forgo()
            raise

    def _with_slots(self, use: Callable[[transport.Stream], None]) -> None:
        """Do something with the stream of slots; over a new one, as often as it breaks, until the time is up."""
        assert self._slots is not None
        lost: WorkerLost | None = None
        for _ in attempts(max(self.retry_seconds, _ONCE_SECONDS)):
            try:
                if self._slot_stream is None:
                    self._slot_stream = self._stream("Upload")
                    self._slots.again(self._slot_stream)
                use(self._slot_stream)
            except WorkerLost as error:
                self._leave_slots()
                lost = error
                if self.is_gone():
                    break
            else:
                self._slots_sent_at = time.monotonic()
                return
        assert lost is not None
        raise lost

    def _leave_slots(self) -> None:
        """Leave the stream of slots, whatever is still on it."""
        stream, self._slot_stream = self._slot_stream, None
        if stream is not None:
            stream.cancel()
            stream.close()

    def reserve(self, count: int) -> int:
        """Return the first of so many numbers for what the worker itself reads in place of uploads."""
        with self._uploading:
            self._number += count
            return self._number - count + 1

    def ask(self, method: str, request: bytes) -> bytes:
        """Return the answer to something that may take long and may be asked twice; raise WorkerLost if none comes."""
        lost = WorkerLost(f"the worker at {self._address} must answer {method}")
        for _ in attempts(max(self.retry_seconds, _ONCE_SECONDS)):
            try:
                return transport.ask(self._address, method, request, _LONG_SECONDS, self._credentials, patient=False)
            except WorkerUnreachable as error:
                lost = WorkerLost(str(error))
                if self.is_gone():
                    break
        raise lost

    def acknowledged(self, batch: int) -> None:
        """Forget what the calls of a batch, and of those before, have taken."""
        # One more is waited for: another thread may have sent a batch between an upload and its call.
        for number in [number for number, kept in self._kept.items() if kept.batch < batch]:
            del self._kept[number]

    def check(self) -> None:
        """Send again what a broken stream of uploads held: nobody else may notice before the call that waits for it."""
        is_late = time.monotonic() - self._slots_sent_at > _SLOTS_AGAIN_SECONDS
        if self._slots is not None and self._slots.is_owed and is_late and self._uploading.acquire(blocking=False):
            try:
                self._leave_slots()
                self._send_again()
            finally:
                self._uploading.release()
        if self._uploads is not None and self._uploads.is_broken and self._uploading.acquire(blocking=False):
            try:
                self._uploads = _closed(self._uploads)
                self._send_again()
            finally:
                self._uploading.release()

    def reconnect(self) -> None:
        """Leave the old connection, which broke, and send again what the worker may not have."""
        with self._uploading:
            self._leave_slots()
            self._uploads = _closed(self._uploads)
            with self._opening:
                channel, self._channel = self._channel, None
                if channel is not None:
                    channel.close()
            self._send_again()

    def _send_again(self) -> None:
        """Send what is kept over a new stream; what the worker has of it already it drops."""
        if self._slots is not None and self._slots.is_owed:
            self._with_slots(lambda stream: None)
        lost: WorkerLost | None = None
        for _ in attempts(max(self.retry_seconds, _ONCE_SECONDS)):
            if self.is_gone():
                break
            try:
                for kept in list(self._kept.values()):
                    self._upload_stream().send(kept.header, pieces(kept.data, limits.CHUNK_BYTES))
            except WorkerLost as error:
                self._uploads, lost = _closed(self._uploads), error
            else:
                return
        if lost is not None:
            raise lost

    def _upload_stream(self) -> _Uploads:
        if self._uploads is None:
            self._uploads = _Uploads(self._stream("Upload"))
        return self._uploads

    def download(self, handle: int, meta: Meta) -> np.ndarray[Any, Any]:
        """Wait for the elements of a tensor, received into memory made once; again from the start if the connection breaks."""
        into = np.empty(meta.numel, meta.dtype.numpy)
        lost: WorkerLost | None = None
        with self._downloading:
            for _ in attempts(max(self.retry_seconds, _ONCE_SECONDS)):
                try:
                    self._download(handle, as_bytes(into), f"a download of {meta}")
                except WorkerLost as error:
                    lost = error
                    if self.is_gone():
                        break
                else:
                    return into.reshape(meta.shape)
        assert lost is not None
        raise lost

    def _download(self, handle: int, into: Bytes, what: str) -> None:
        if self._downloads is None:
            self._downloads = self._stream("Download")
            self._download_streams += 1
        try:
            self._receive(self._downloads, handle, into, what)
        except GradwireError as error:
            if isinstance(error, WorkerLost | ProtocolError | AccessDenied):
                self._downloads = _closed(self._downloads)
            raise
        except BaseException:
            self._downloads = _closed(self._downloads)
            raise

    def _receive(self, stream: transport.Stream, handle: int, into: Bytes, what: str) -> None:
        segment = self._segment
        receiver = Receiver(into, what, None if segment is None else segment.downloads)
        wanted = bulk_pb2.DownloadRequest.Wanted(token=self._token, handle=handle)
        if segment is not None:
            wanted.secret, wanted.stream = segment.secret, self._download_streams
        stream.send(bulk_pb2.DownloadRequest(wanted=wanted).SerializeToString())
        while True:
            freed = receiver.take(stream.receive()) if not receiver.is_done else 0
            if freed:
                stream.send(bulk_pb2.DownloadRequest(freed=bulk_pb2.Freed(slots=freed)).SerializeToString())
            if receiver.is_done:
                return

    def _stream(self, method: str) -> transport.Stream:
        return transport.open_stream(
            self._open(), self._address, method=_SERVICE + method, credentials=self._credentials
        )

    def _open(self) -> grpc.Channel:
        with self._opening:
            if self._channel is None:
                # Not shared with the control stream: calls must not wait behind megabytes.
                self._channel = transport.bulk_channel(self._address, self._credentials)
                if self._segment is None and shared_memory.is_wanted() and is_local(self._address):
                    self._segment = self._shared(self._channel)
                    self._slots = None if self._segment is None else SlotUploads(self._segment)
            return self._channel

    def _shared(self, channel: grpc.Channel) -> Segment | None:
        """Return the worker's shared memory if it can be opened here; None, as for a worker reached through a tunnel."""
        share: Any = channel.unary_unary(_SERVICE + "Share", request_serializer=None, response_deserializer=None)
        request = bulk_pb2.ShareRequest(token=self._token).SerializeToString()
        try:
            answer: bytes = share(
                request, timeout=_SHARE_SECONDS, wait_for_ready=True, metadata=self._credentials.metadata
            )
        except grpc.RpcError:
            return None
        reply = bulk_pb2.ShareReply.FromString(answer)
        return Segment.open(reply.process, reply.descriptor, reply.nonce, reply.slots, reply.slot_bytes)

    def close(self) -> None:
        """Send what is queued, and close the channel."""
        with self._uploading:
            self._slot_stream = _closed(self._slot_stream)
            self._uploads = _closed(self._uploads)
        with self._downloading:
            self._downloads = _closed(self._downloads)
        if self._channel is not None:
            self._channel.close()
        if self._segment is not None:
            self._segment.close()


@dataclass(slots=True)
class _Kept:
    """An upload that may have to be sent again."""

    header: bulk_pb2.UploadHeader
    data: Bytes
    batch: int

    def copied(self, source: Bytes) -> Iterator[Bytes]:
        """Copy the elements chunk by chunk, so that the first travel while the next are copied."""
        chunks = (pieces(data, limits.CHUNK_BYTES) for data in (self.data, source))
        for mine, piece in zip(*chunks, strict=True):
            np.copyto(mine, piece)
            yield mine


class _Uploads:
    """One stream of uploads in chunks."""

    def __init__(self, stream: transport.Stream) -> None:
        self._outbox = Outbox(stream)

    def send(self, header: bulk_pb2.UploadHeader, chunks: Iterator[Bytes]) -> None:
        """Send one transfer, of chunks whose memory nobody writes to any more."""
        self._outbox.send(bulk_pb2.Part(header=header).SerializeToString)
        for write in chunk_writers(chunks):
            self._outbox.send(write)

    @property
    def is_broken(self) -> bool:
        """Return whether something could not be sent."""
        return self._outbox.is_broken

    def close(self) -> None:
        """End the stream."""
        self._outbox.close()


class Outbox:
    """Sends the messages of a stream from a thread of its own, so that the caller goes on while they travel."""

    def __init__(self, stream: transport.Stream, room: int = limits.QUEUED_CHUNKS) -> None:
        """Hold up to `room` messages that were not sent yet."""
        self._stream = stream
        self._queue: queue.Queue[Callable[[], bytes] | None] = queue.Queue(room)
        self._error: GradwireError | None = None
        self._thread = threading.Thread(target=self._run, name="gradwire-uploads", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for write in iter(self._queue.get, None):
            if self._error is None:
                try:
                    self._stream.send(write())
                except GradwireError as error:
                    self._error = error  # and empty the queue, so that nobody waits for room in it
                except Exception as error:  # no memory for a chunk, as it may be
                    self._error = WorkerLost(f"an upload could not be sent: {type(error).__name__}: {error}")

    @property
    def is_broken(self) -> bool:
        """Return whether a message could not be sent."""
        return self._error is not None

    def send(self, write: Callable[[], bytes]) -> None:
        """Queue what writes a message, waiting for room; raise WorkerLost or AccessDenied if one before it could not be sent."""
        if self._error is not None:
            raise type(self._error)(str(self._error))
        self._queue.put(write)

    def close(self) -> None:
        """Send what is queued, and end the stream."""
        self._queue.put(None)
        self._thread.join()
        self._stream.close()


def _closed(stream: Any) -> Any:
    """Close a stream, if there is one, and return what stands in its place: None."""
    if stream is not None:
        stream.close()
    return None
