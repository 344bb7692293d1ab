"""Memory that a worker and a client of one machine both see: no file, no name, gone with the last process that maps it.

A memfd, which the client opens through the worker's `/proc` entry. That works for processes of one user and one machine
(and one container) only, which is the whole check: whoever reads the secret in it is there. Its size is sealed, so that
neither side can take away pages that the other one reads.
"""

from __future__ import annotations

import hmac
import mmap
import os
import secrets
import sys
from typing import Any

import numpy as np

from gradwire_protocol import limits

__all__ = ["Segment", "is_wanted"]

_HEAD_BYTES = 4096
_NONCE_BYTES = _SECRET_BYTES = 32
_VARIABLE = "GRADWIRE_SHARED_MEMORY"


def is_wanted() -> bool:
    """Return whether this process may share memory: on Linux, unless GRADWIRE_SHARED_MEMORY is 0."""
    return sys.platform == "linux" and os.environ.get(_VARIABLE, "1") != "0"


class Segment:
    """Slots for uploads and slots for downloads, after a page with a nonce and a secret."""

    def __init__(self, memory: mmap.mmap, slots: int, slot_bytes: int, descriptor: int = -1) -> None:
        """Lay slots over memory."""
        whole = np.frombuffer(memory, np.uint8)
        cut = [
            whole[start : start + slot_bytes]
            for start in range(_HEAD_BYTES, _HEAD_BYTES + 2 * slots * slot_bytes, slot_bytes)
        ]
        self.uploads, self.downloads = cut[:slots], cut[slots:]
        self.slot_bytes = slot_bytes
        self.nonce = memory[:_NONCE_BYTES]
        self.secret = memory[_NONCE_BYTES : _NONCE_BYTES + _SECRET_BYTES]
        self.descriptor = descriptor

    @staticmethod
    def create(slots: int = limits.SLOTS, slot_bytes: int = limits.SLOT_BYTES) -> Segment | None:
        """Make a segment, or return None where the system has none to give. Pages cost memory once they are written."""
        if not is_wanted():
            return None
        size = _HEAD_BYTES + 2 * slots * slot_bytes
        try:
            descriptor = os.memfd_create("gradwire", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        except OSError:
            return None
        try:
            os.fchmod(descriptor, 0o600)
            os.ftruncate(descriptor, size)
            _seal(descriptor)
            memory = mmap.mmap(descriptor, size)
        except OSError:
            os.close(descriptor)
            return None
        memory[: _NONCE_BYTES + _SECRET_BYTES] = secrets.token_bytes(_NONCE_BYTES + _SECRET_BYTES)
        return Segment(memory, slots, slot_bytes, descriptor)

    @staticmethod
    def open(process: int, descriptor: int, nonce: bytes, slots: int, slot_bytes: int) -> Segment | None:
        """Open a worker's segment; None if it cannot be reached from here, or is not the one that `nonce` names."""
        size = _HEAD_BYTES + 2 * slots * slot_bytes
        if not is_wanted() or len(nonce) != _NONCE_BYTES or not 0 < size <= limits.MAX_SEGMENT_BYTES:
            return None
        try:
            opened = os.open(f"/proc/{process}/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            # The peer chose the numbers, so nothing is believed of what they lead to.
            if not _is_sealed(opened) or os.fstat(opened).st_size != size:
                return None
            memory = mmap.mmap(opened, size)
        except OSError:
            return None
        finally:
            os.close(opened)
        return Segment(memory, slots, slot_bytes) if hmac.compare_digest(memory[:_NONCE_BYTES], nonce) else None

    def is_secret(self, secret: bytes) -> bool:
        """Return whether a peer read the secret, and so sees this memory."""
        return hmac.compare_digest(self.secret, secret)

    def close(self) -> None:
        """Let nobody else open it; memory goes when the last view of it does."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        self.uploads, self.downloads = [], []


def _seal(descriptor: int) -> None:
    import fcntl

    names: Any = fcntl
    fcntl.fcntl(descriptor, names.F_ADD_SEALS, names.F_SEAL_SHRINK | names.F_SEAL_GROW | names.F_SEAL_SEAL)


def _is_sealed(descriptor: int) -> bool:
    import fcntl

    names: Any = fcntl
    # Fails for anything but a memfd: an OSError, which the caller expects.
    return bool(fcntl.fcntl(descriptor, names.F_GET_SEALS) & names.F_SEAL_SHRINK)
