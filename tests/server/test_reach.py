"""Channels to other workers, by addresses that clients name."""

from __future__ import annotations

import pytest

from gradwire_protocol import limits
from gradwire_protocol.dtypes import float32
from gradwire_protocol.errors import WorkerLost
from gradwire_protocol.meta import Meta
from gradwire_server.peers import reach

NOBODY = [f"127.0.0.1:{port}" for port in range(1, 6)]  # nobody listens there: refused at once


def test_no_channel_is_kept_to_where_no_worker_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PEER_SECONDS", 10.0)
    before = set(reach._channels)
    for address in NOBODY:
        assert not reach.is_at(address, "x")
    for address in NOBODY[:2]:
        with pytest.raises(WorkerLost, match="0 of 12 bytes"):
            reach.fetch(address, b"ticket", Meta.of((3,), float32))
    assert set(reach._channels) == before
