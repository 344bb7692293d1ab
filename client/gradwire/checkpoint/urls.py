"""Checkpoints at URLs, which workers write and read themselves: of the elements nothing passes through this process.

The files are those of `gradwire.checkpoint.files`: shards with names of their own for each save, and an index, replaced last.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from gradwire import session as sessions
from gradwire.bulk import Bulk
from gradwire.checkpoint.files import described, description, groups
from gradwire.session import Session
from gradwire.tensor import Tensor, call
from gradwire_protocol import codec
from gradwire_protocol.errors import CheckpointError, WorkerLost
from gradwire_protocol.ops import OPS
from gradwire_protocol.v1 import checkpoint_pb2

__all__ = ["is_url", "read_url", "write_url"]

_SERVICE = "/gradwire.v1.Checkpoint/"
_UPLOAD = OPS["gw::upload"]
_STAMP_BYTES = 8


def is_url(path: str) -> bool:
    """Return whether a checkpoint's path is for workers to reach."""
    return "://" in path


def write_url(url: str, tree: Any, tensors: Mapping[str, Tensor], shard_bytes: int) -> None:
    """Let each worker write its tensors, then one the index; raise CheckpointError, with the last checkpoint as it was."""
    stamp = secrets.token_hex(_STAMP_BYTES)
    sums: dict[str, str] = {}
    name = url.rpartition("/")[2]
    shards: list[str] = []
    for session, group in _grouped(tensors, shard_bytes):
        session.wait()  # for what is to be written, and what went wrong with it
        shard = f"{stamp}.{len(shards):05}"
        request = checkpoint_pb2.WriteShardRequest(
            token=session.welcome.token, url=url, shard=shard, names=group,
            handles=[tensors[each].handle for each in group],
        )  # fmt: skip
        reply = checkpoint_pb2.WriteShardReply.FromString(_ask(session, "Write", request))
        _check(reply)
        sums.update(zip(group, reply.sums, strict=True))
        shards.append(f"{name}.{shard}")
    session = sessions.current()
    commit = checkpoint_pb2.CommitCheckpointRequest(
        token=session.welcome.token, url=url, text=description(tree, sums, shards), save=stamp
    )
    _check(checkpoint_pb2.CommitCheckpointReply.FromString(_ask(session, "Commit", commit)))


def _grouped(tensors: Mapping[str, Tensor], shard_bytes: int) -> Iterator[tuple[Session, list[str]]]:
    """Yield the tensors of each shard, which are one worker's."""
    for session in dict.fromkeys(tensor.session for tensor in tensors.values()):
        own = {name: tensor for name, tensor in tensors.items() if tensor.session is session}
        for group in groups(own, shard_bytes):
            yield session, group


def read_url(url: str) -> tuple[Any, dict[str, Tensor]]:
    """Return the tree and tensors of a checkpoint, which the worker of new tensors reads, and checks; raise CheckpointError."""
    session = sessions.current()
    token = session.welcome.token
    asked = checkpoint_pb2.DescribeCheckpointRequest(token=token, url=url)
    reply = checkpoint_pb2.DescribeCheckpointReply.FromString(_ask(session, "Describe", asked))
    _check(reply)
    contents = described(url, reply.metadata)
    sums = contents["sums"]
    tensors: dict[str, Tensor] = {}
    found: dict[str, str] = {}
    for shard in contents["shards"] or [""] * bool(sums):
        _read_shard(session, url, shard, len(sums), tensors, found)
    if found.keys() != sums.keys():
        raise CheckpointError(
            f"the checkpoint {url} is damaged: it does not have the tensors that it names; load another"
        )
    for name, its_sum in found.items():
        if its_sum != sums[name]:
            raise CheckpointError(f"the checkpoint {url} is damaged: {name} is not what was saved; load another one")
    return contents["tree"], tensors


def _read_shard(
    session: Session, url: str, shard: str, most: int, tensors: dict[str, Tensor], found: dict[str, str]
) -> None:
    first = _bulk(session).reserve(most)
    request = checkpoint_pb2.ReadShardRequest(
        token=session.welcome.token, url=url, shard=shard.removeprefix(url.rpartition("/")[2] + "."), first_upload=first
    )
    reply = checkpoint_pb2.ReadShardReply.FromString(_ask(session, "Read", request))
    _check(reply)
    if len(reply.tensors) > most:
        raise CheckpointError(f"the checkpoint {url} is damaged: {shard} has more tensors than are named; load another")
    for number, held in enumerate(reply.tensors, first):
        meta = codec.decode_meta(held.meta)
        assert meta is not None
        # As an upload is taken: so they are there once, whatever happens to the connection.
        tensors[held.name] = call(_UPLOAD, meta.shape, meta.dtype, number, session=session)
        found[held.name] = held.sum


def _bulk(session: Session) -> Bulk:
    bulk: Bulk = session._link.bulk
    return bulk


def _ask(session: Session, method: str, request: Any) -> bytes:
    try:
        return _bulk(session).ask(_SERVICE + method, request.SerializeToString())
    except WorkerLost:
        # The session's own connection says what is lost, or else that the worker is there.
        session.flush(always=True)
        session.wait()
        raise


def _check(reply: Any) -> None:
    if reply.HasField("failure"):
        raise codec.decode_failure(reply.failure)
