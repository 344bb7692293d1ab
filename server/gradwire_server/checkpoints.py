"""Checkpoints that the worker itself writes and reads: `checkpoint.proto`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradwire_protocol import codec
from gradwire_protocol.checksums import array_sum, text_sum
from gradwire_protocol.dtypes import from_numpy
from gradwire_protocol.errors import BatchMalformed, CheckpointError
from gradwire_protocol.meta import Meta
from gradwire_protocol.safetensors import Invalid, encode_head, little_endian, read, read_metadata
from gradwire_protocol.v1 import checkpoint_pb2, checkpoint_pb2_grpc
from gradwire_server.opened import Opened
from gradwire_server.store import Poisoned
from gradwire_server.stores import Places, Store

__all__ = ["CheckpointService"]

Array = np.ndarray[Any, Any]


class CheckpointService(checkpoint_pb2_grpc.CheckpointServicer):
    """For the sessions that `find` returns by their token and a call's context, at the places that are allowed."""

    def __init__(self, find: Callable[[bytes, Any], Opened], places: Places) -> None:
        """Serve these sessions."""
        self._find, self._places = find, places

    def _reached(self, request: Any, context: Any) -> tuple[Opened, Store]:
        opened = self._find(request.token, context)
        return opened, self._places.store(request.url, opened.tenant)

    def Write(self, request: Any, context: Any) -> Any:
        """Write tensors as they are now: the session runs no batch meanwhile."""
        try:
            opened, store = self._reached(request, context)
            with opened.lock, opened.session.engine.backend.active():
                arrays = _arrays(opened, request.names, request.handles)
                sums = [array_sum(array) for array in arrays.values()]
                order, head = encode_head(arrays, {})
                size_bytes = len(head) + sum(array.nbytes for array in arrays.values())
                parts = (_bytes(arrays[name]) for name in order)
                store.write_shard(
                    request.shard, (part for group in ([memoryview(head)], parts) for part in group), size_bytes
                )
        except Exception as error:
            return checkpoint_pb2.WriteShardReply(failure=codec.encode_failure(error))
        return checkpoint_pb2.WriteShardReply(sums=sums)

    def Commit(self, request: Any, context: Any) -> Any:
        """Let what was written be the checkpoint."""
        try:
            _, store = self._reached(request, context)
            _, head = encode_head({}, {"gradwire": request.text, "checksum": text_sum(request.text)})
            store.write_index(request.save, head)
            store.remove_others(request.save)
        except Exception as error:
            return checkpoint_pb2.CommitCheckpointReply(failure=codec.encode_failure(error))
        return checkpoint_pb2.CommitCheckpointReply()

    def Describe(self, request: Any, context: Any) -> Any:
        """Return what the index says."""
        try:
            _, store = self._reached(request, context)
            with store.reading("") as (file, size_bytes):
                metadata = _valid(lambda: read_metadata(file, size_bytes), request.url)
        except Exception as error:
            return checkpoint_pb2.DescribeCheckpointReply(failure=codec.encode_failure(error))
        return checkpoint_pb2.DescribeCheckpointReply(metadata=metadata)

    def Read(self, request: Any, context: Any) -> Any:
        """Read tensors, for calls to take as they take uploads."""
        try:
            opened, store = self._reached(request, context)
            with store.reading(request.shard) as (file, size_bytes):
                refusal = opened.session.meter.upload_refusal(size_bytes, opened.session.uploads.ready_bytes)
                if refusal is not None:
                    opened.session.meter.note(refusal)
                    raise refusal
                arrays, _ = _valid(lambda: read(file, size_bytes), request.url)
            reply = checkpoint_pb2.ReadShardReply(tensors=[_held(name, array) for name, array in arrays.items()])
        except Exception as error:
            return checkpoint_pb2.ReadShardReply(failure=codec.encode_failure(error))
        for number, array in enumerate(arrays.values(), request.first_upload):
            opened.session.uploads.finish(number, array)
        return reply


def _arrays(opened: Opened, names: Any, handles: Any) -> Mapping[str, Array]:
    if len(names) != len(handles):
        raise BatchMalformed(f"a shard needs a name for each handle; got {len(names)} for {len(handles)}")
    backend = opened.session.engine.backend
    found = {}
    for name, handle in zip(names, handles, strict=True):
        entry = opened.session.store.array(handle)
        if isinstance(entry, Poisoned):
            raise codec.decode_failure(entry.failure)
        found[name] = np.ascontiguousarray(backend.to_host(entry.data)).reshape(entry.meta.shape)
    return found


def _bytes(array: Array) -> memoryview:
    return little_endian(array).reshape(-1).view(np.uint8).data


def _held(name: str, array: Array) -> checkpoint_pb2.ReadShardReply.Held:
    meta = codec.encode_meta(Meta.of(array.shape, from_numpy(array.dtype)))
    return checkpoint_pb2.ReadShardReply.Held(name=name, meta=meta, sum=array_sum(array))


def _valid(decoded: Callable[[], Any], url: str) -> Any:
    try:
        return decoded()
    except Invalid as invalid:
        raise CheckpointError(f"loading {url} needs a whole safetensors file; {invalid}; load another copy") from None
