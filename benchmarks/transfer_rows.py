"""Row X1: uploads and downloads, in chunks over TCP against a raw gRPC stream, and through shared memory against copies."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from benchmarks.floor import Floor
from benchmarks.measure import interleave
from benchmarks.record import Goal, Line, Record, Row, Settings
from gradwire.conversion import from_array
from gradwire.session import Session
from gradwire_protocol.bulk import as_bytes, pieces
from gradwire_protocol.dtypes import float32
from gradwire_protocol.shared_memory import Segment

__all__ = ["ROWS"]

_EXPONENTS = (10, 13, 16, 20, 24, 26, 28)
_JUDGED = 26


class _CopyFloor:
    """The least that a transfer through shared memory does: a copy into slots in cache, and one out into fresh memory."""

    def __init__(self) -> None:
        segment = Segment.create()
        assert segment is not None, "row X1 needs a system that shares memory"
        self._slots, self._slot_bytes = segment.uploads, segment.slot_bytes

    def copy(self, data: Any) -> None:
        """Copy bytes, one slot after the other."""
        raw, into = as_bytes(data), np.empty(data.nbytes, np.uint8)
        for index, piece in enumerate(pieces(raw, self._slot_bytes)):
            slot = self._slots[index % len(self._slots)][: piece.nbytes]
            np.copyto(slot, piece)
            np.copyto(into[index * self._slot_bytes :][: piece.nbytes], slot)


def _session(worker: Any, shared: str) -> Session:
    """Open a session whose bytes go through shared memory ("1") or not ("0")."""
    before = os.environ.get("GRADWIRE_SHARED_MEMORY")
    os.environ["GRADWIRE_SHARED_MEMORY"] = shared
    session: Session = worker.session()
    assert session._link.bulk.is_shared is (shared == "1")
    del os.environ["GRADWIRE_SHARED_MEMORY"]
    if before is not None:
        os.environ["GRADWIRE_SHARED_MEMORY"] = before
    return session


def _contestants(data: Any, floor: Floor, copies: _CopyFloor, shared: Session, chunks: Session) -> dict[str, Any]:
    def upload(session: Session) -> None:
        from_array(data, float32, session)
        session.wait()

    there, in_chunks = (from_array(data, float32, session) for session in (shared, chunks))
    return {
        "upload, shared": lambda: upload(shared),
        "upload, chunks": lambda: upload(chunks),
        "upload, raw stream": lambda: floor.upload(data),
        "download, shared": lambda: there.numpy(),
        "download, chunks": lambda: in_chunks.numpy(),
        "download, raw stream": lambda: floor.download(data.nbytes),
        "two copies": lambda: copies.copy(data),
    }


def _transfers(settings: Settings) -> Record:
    floor, copies, record = Floor(), _CopyFloor(), Record()
    shared, chunks = (_session(settings.worker, way) for way in "10")
    for exponent in _EXPONENTS:
        data = np.ones(2**exponent // 4, np.float32)
        contestants = _contestants(data, floor, copies, shared, chunks)
        times = interleave(contestants, rounds=5 if exponent >= 26 else 20, warmup=1)
        del contestants
        size = f"{2**exponent // 1024} KiB" if exponent < 20 else f"{2**exponent // 2**20} MiB"
        for name, samples in times.items():
            rate = data.nbytes / samples.median / 1e9
            record.lines.append(Line(f"{name}, {size}", samples.times(1e3), "ms", f"{rate:.2f} GB/s"))
        if exponent == _JUDGED:
            for way in ("upload", "download"):
                of_raw = 1 / times[f"{way}, chunks"].over(times[f"{way}, raw stream"])
                of_copies = 1 / times[f"{way}, shared"].over(times["two copies"])
                rate = data.nbytes / times[f"{way}, shared"].median / 1e9
                record.reached |= {f"{way} / raw stream": of_raw, way: rate, f"{way} / two copies": of_copies}
    floor.close()
    for session in (shared, chunks):
        session.close()
    return record


ROWS = {
    "X1": Row(
        "uploads and downloads of 1 KiB to 256 MiB on one host, judged at 64 MiB",
        tuple(
            goal
            for way in ("upload", "download")
            for goal in (
                Goal(f"{way} / raw stream", 0.9, at_least=True),
                Goal(way, 6, "GB/s", at_least=True),
                Goal(f"{way} / two copies", None),
            )
        ),
        _transfers,
    )
}
