"""Row X1: uploads and downloads, against a raw gRPC stream of the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

import gradwire as gw
from benchmarks.floor import Floor
from benchmarks.measure import interleave
from benchmarks.record import Goal, Line, Record, Row, Settings

__all__ = ["ROWS"]

_EXPONENTS = (10, 13, 16, 20, 24, 26, 28)
_JUDGED = 26


def _transfers(settings: Settings) -> Record:
    session, floor, record = settings.worker.session(), Floor(), Record()
    for exponent in _EXPONENTS:
        data = np.ones(2**exponent // 4, np.float32)
        there = gw.from_numpy(data)

        def upload(data: Any = data) -> None:
            gw.from_numpy(data)
            session.wait()

        contestants = {
            "up": upload,
            "raw up": lambda data=data: floor.upload(data),
            "down": lambda there=there: there.numpy(),
            "raw down": lambda data=data: floor.download(data.nbytes),
        }
        times = interleave(contestants, rounds=5 if exponent >= 26 else 20, warmup=1)
        size = f"{2**exponent // 1024} KiB" if exponent < 20 else f"{2**exponent // 2**20} MiB"
        for way in ("up", "down"):
            rate = data.nbytes / times[way].median / 1e9
            of_raw = 1 / times[way].over(times[f"raw {way}"])
            remark = f"{rate:.2f} GB/s; {of_raw:.2f} of the raw stream's rate"
            record.lines.append(Line(f"{way}load {size}", times[way].times(1e3), "ms", remark))
            if exponent == _JUDGED:
                record.reached |= {f"{way}load / raw stream": of_raw, f"{way}load": rate}
        del there
    floor.close()
    session.close()
    return record


ROWS = {
    "X1": Row(
        "uploads and downloads of 1 KiB to 256 MiB on one host, judged at 64 MiB",
        tuple(
            goal
            for way in ("upload", "download")
            for goal in (Goal(f"{way} / raw stream", 0.9, at_least=True), Goal(way, 6, "GB/s", at_least=True))
        ),
        _transfers,
    )
}
