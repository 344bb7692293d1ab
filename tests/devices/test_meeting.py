"""How workers meet and what they leave for each other, without sockets."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from gradwire_protocol.errors import BatchMalformed, HandleNotFound, LimitExceeded
from gradwire_protocol.group import Peer, Spec
from gradwire_protocol.v1 import failure_pb2
from gradwire_server.collectives.store import Stores
from gradwire_server.peers.offers import Offers


def test_a_group_is_described_in_text_that_is_checked() -> None:
    spec = Spec("g", 3, 1, "gloo", "0" * 32, "", 9.0, (Peer("cpu:0", "a:1", "x"), Peer("cpu:1", "a:2", "y")))
    assert Spec.decode(spec.encode()) == spec
    for text in ("", "[]", "{}", spec.encode().replace('"rank": 1', '"rank": 2'), spec.encode().replace("9.0", "-1")):
        with pytest.raises(BatchMalformed):
            Spec.decode(text)


def test_the_store_bounds_what_strangers_may_ask() -> None:
    stores = Stores()
    with pytest.raises(TimeoutError, match="the first member of a group must come"):
        stores.find(b"unknown", 0.01)
    opened = stores.open(b"secret")
    assert stores.find(b"secret", 0) is opened
    opened.set("key", b"value")
    assert (opened.get("key", 0), opened.add("n", 2), opened.add("n", 3)) == (b"value", 2, 5)
    assert opened.has(["key", "n"])
    assert not opened.has(["other"])
    with pytest.raises(TimeoutError, match="must set 'other'"):
        opened.get("other", 0.01)
    with pytest.raises(LimitExceeded, match="a group's store holds"):
        for number in range(20):
            opened.set(str(number), bytes(1 << 20))


def test_offers_are_taken_once_and_go_with_their_session() -> None:
    class Owner:
        token = b"owner"

    offers, owner, values = Offers(max_waiting=1), Owner(), np.arange(3)
    offers.put(b"ticket", values, owner)
    assert offers.held_bytes == values.nbytes
    assert offers.take(b"ticket", 0) is values
    with pytest.raises(HandleNotFound, match="needs its source to be offered"):
        offers.take(b"ticket", 0)
    offers.put(b"late", values, owner)
    del owner
    gc.collect()
    left = offers.take(b"late", 0)
    assert isinstance(left, failure_pb2.Failure)
    assert left.error == "WorkerLost"
