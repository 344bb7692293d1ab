"""Every bound of the protocol on one page, each with its reason."""

from __future__ import annotations

__all__ = [
    "CHUNK_BYTES", "INLINE_BYTES", "MAX_BATCH_BYTES", "MAX_BATCH_CALLS", "MAX_LOOP_STEPS", "MAX_MESSAGE_BYTES",
    "MAX_NDIM", "MAX_NUMEL", "MAX_OUTPUTS", "MAX_PROGRAMS", "MAX_PROGRAM_BYTES", "MAX_SEGMENT_BYTES",
    "MAX_SHARED_BYTES", "MAX_SHARED_PROGRAMS", "MAX_SIGNATURES", "MAX_SIGNATURE_BYTES", "MAX_STRIDE", "MAX_TERMS",
    "MAX_UNACKED_BATCHES", "PEER_SECONDS", "PROTOCOL_VERSION", "QUEUED_CHUNKS", "SLOTS", "SLOT_BYTES",
    "STALL_SECONDS", "UPLOAD_ROOM_BYTES",
]  # fmt: skip

PROTOCOL_VERSION = 1

# gRPC's own default. Kept, so that no proxy or peer needs other settings; larger tensors travel in chunks.
MAX_MESSAGE_BYTES = 4 * 1024 * 1024

# Measured best on the bulk path: 1 MiB chunks written into memory made once.
CHUNK_BYTES = 1024 * 1024

# Chunks that a client holds for its sending thread; past them an upload waits.
QUEUED_CHUNKS = 32

# Shared memory, for each direction: enough slots that the two sides work at once, small enough to stay in cache.
SLOT_BYTES = 2 * 1024 * 1024
SLOTS = 8

# What a client maps at most of a worker's memory, whatever the worker says.
MAX_SEGMENT_BYTES = 1024 * 1024 * 1024

# Uploads that a session may have ready before calls take them; past that the next one waits.
UPLOAD_ROOM_BYTES = 256 * 1024 * 1024

# How long a call waits for the next byte of its upload before it fails: longer than a connection is away that comes back.
STALL_SECONDS = 120.0

# How long a copy from another worker may take, what that one computes first included. A worker that is gone is noticed at
# once, so this only bounds the waiting for one that will never offer the tensor.
PEER_SECONDS = 600.0

# Up to here a tensor rides inside its batch or its acknowledgement; above it gets a stream of its own, so that calls do
# not wait behind it.
INLINE_BYTES = 64 * 1024

# Leaves room for one more inline tensor and the columns below MAX_MESSAGE_BYTES.
MAX_BATCH_BYTES = 1024 * 1024

# Past about 200 calls a message no longer costs anything measurable per call.
MAX_BATCH_CALLS = 256

# Credits: how far a client may run ahead of its worker before it waits for acknowledgements.
MAX_UNACKED_BATCHES = 32

# Signatures that one session holds interned; each is about a KiB on both sides. A client that needs more starts over.
MAX_SIGNATURES = 16_384

# And their bytes on the wire, of which one may have a million where it names as many tensors: in memory they are 50 times that.
MAX_SIGNATURE_BYTES = 8 * 1024 * 1024

# Programs that one session holds; each keeps its own memory for what it computes on the way.
MAX_PROGRAMS = 256

# And their bytes on the wire, all together: a training step of a large model has some 300 kB, in memory 50 times that.
MAX_PROGRAM_BYTES = 32 * 1024 * 1024

# Steps that one call makes: none starts between them, so a worker that is to stop waits for all.
MAX_LOOP_STEPS = 65_536

# Programs that a worker knows across sessions, and bytes of what it computed for them in advance.
MAX_SHARED_PROGRAMS = 256
MAX_SHARED_BYTES = 256 * 1024 * 1024

# Tensors that one call makes: a signature has a shape for each, so an axis of 2 ** 30 cannot be unbound.
MAX_OUTPUTS = 1 << 16

# Passes over its tensors that one call makes because a number says so: else a call of ten bytes computes for days.
MAX_TERMS = 1 << 12

# numpy's own bound on axes.
MAX_NDIM = 64

# Elements of one tensor; keeps every byte count inside a signed 64-bit integer.
MAX_NUMEL = 1 << 56

# Elements from one to the next along an axis, which need not all be there; a signed 64-bit integer.
MAX_STRIDE = (1 << 63) - 1
