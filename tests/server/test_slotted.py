"""Slots after a break: only the newest stream has them, and a transfer goes on where it was, whatever comes twice."""

from __future__ import annotations

import numpy as np
import pytest

from gradwire_protocol.bulk import Receiver
from gradwire_protocol.errors import BatchMalformed, WorkerLost
from gradwire_protocol.v1 import bulk_pb2
from gradwire_server.slotted import Slotted


def slot(index: int, size_bytes: int) -> bytes:
    return bulk_pb2.Part(slot=bulk_pb2.Slot(index=index, bytes=size_bytes)).SerializeToString()


def test_an_older_stream_has_no_turn_any_more() -> None:
    slotted = Slotted()
    slotted.claim(1)
    slotted.claim(2)
    for use in (lambda: slotted.claim(1), lambda: slotted.turn(1).__enter__()):
        with pytest.raises(WorkerLost, match="newest stream, number 2; this is 1"):
            use()
    with slotted.turn(2):
        pass


@pytest.mark.parametrize("came", range(4))
@pytest.mark.parametrize("known", range(4))
def test_a_transfer_goes_on_where_it_was(came: int, known: int) -> None:
    """Of three slots the worker read some, and the client knows of some: it names all that it does not know of."""
    slots = [np.full(4, 7 + index, np.uint8) for index in range(3)]
    host = np.zeros(11, np.uint8)
    sizes = [4, 4, 3]
    slotted, receiver = Slotted(), Receiver(host, "an upload", slots)
    slotted.claim(1)
    slotted.begin(1, 5, host, receiver)
    for index in range(came):
        receiver.take(slot(index, sizes[index]))
    slotted.claim(2)
    start = sum(sizes[:known])
    if known > came:
        with pytest.raises(BatchMalformed, match=f"at or before byte {sum(sizes[:came])}; got {start}"):
            slotted.go_on(2, 5, start)
        return
    again, receiver = slotted.go_on(2, 5, start)
    for index in range(known, 3):
        assert not receiver.is_done
        assert receiver.take(slot(index, sizes[index])) == 1
    assert receiver.is_done
    assert again.tolist() == [7] * 4 + [8] * 4 + [9] * 3


def test_only_the_transfer_that_was_left_goes_on() -> None:
    slotted = Slotted()
    host = np.zeros(4, np.uint8)
    slotted.begin(0, 5, host, Receiver(host, "an upload", []))
    with pytest.raises(BatchMalformed, match="only after its start"):
        slotted.go_on(0, 4, 0)
    slotted.end(4)
    slotted.go_on(0, 5, 0)
    slotted.end(5)
    with pytest.raises(BatchMalformed, match="only after its start"):
        slotted.go_on(0, 5, 0)
