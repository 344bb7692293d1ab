"""A call and its upload meet, whichever comes first; what does not come is an error, not a wait for ever."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from gradwire_protocol.dtypes import float32
from gradwire_protocol.errors import BatchMalformed, HandleNotFound, TransferDamaged
from gradwire_protocol.meta import Meta
from gradwire_server.uploads import Uploads

META = Meta.of((4,), float32)
VALUES = np.arange(4, dtype=np.float32)


def test_a_call_that_comes_first_waits() -> None:
    uploads, taken = Uploads(), []
    thread = threading.Thread(target=lambda: taken.append(uploads.take(1, META)))
    thread.start()
    uploads.begin(1)
    uploads.finish(1, VALUES)
    thread.join(10)
    assert taken[0] is VALUES
    assert uploads.ready_bytes == 0


def test_an_upload_is_taken_once_and_begun_once() -> None:
    uploads = Uploads(stall_seconds=0.05)
    uploads.begin(1)
    uploads.finish(1, VALUES)
    uploads.take(1, META)
    with pytest.raises(HandleNotFound, match="nothing came for 0.05 s"):
        uploads.take(1, META)
    assert not uploads.begin(1), "it came whole, so what is sent again is dropped"
    uploads.begin(5000)
    with pytest.raises(BatchMalformed, match="one of the last 1024"):
        uploads.begin(1)


def test_a_transfer_that_was_cut_off_may_come_again() -> None:
    uploads = Uploads()
    assert uploads.begin(1)
    assert uploads.begin(1)
    uploads.finish(1, VALUES)
    uploads.finish(1, VALUES * 2)
    assert (uploads.take(1, META) == VALUES).all()
    assert uploads.ready_bytes == 0


def test_a_failed_upload_fails_its_call() -> None:
    uploads = Uploads()
    uploads.begin(1)
    uploads.fail(1, TransferDamaged("bytes changed"))
    with pytest.raises(TransferDamaged, match="bytes changed"):
        uploads.take(1, META)


def test_another_shape_is_refused() -> None:
    uploads = Uploads()
    uploads.begin(1)
    uploads.finish(1, VALUES[:2])
    with pytest.raises(HandleNotFound, match="as its call says"):
        uploads.take(1, META)


def test_uploads_that_nothing_takes_hold_up_the_next_until_a_call_waits_for_it() -> None:
    uploads, begun = Uploads(room_bytes=8), threading.Event()
    uploads.begin(1)
    uploads.finish(1, VALUES)

    def second() -> None:
        uploads.begin(2)
        begun.set()
        uploads.finish(2, VALUES * 2)

    thread = threading.Thread(target=second)
    thread.start()
    assert not begun.wait(0.05)
    assert (uploads.take(2, META) == VALUES * 2).all(), "calls may take uploads in another order"
    assert (uploads.take(1, META) == VALUES).all()
    thread.join(10)


def test_a_call_that_waits_looks_whether_to_wait_on() -> None:
    uploads = Uploads(stall_seconds=30)
    uploads.look = uploads.close  # nobody is there any more
    with pytest.raises(HandleNotFound):
        uploads.take(1, META)
