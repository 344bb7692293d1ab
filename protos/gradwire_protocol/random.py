"""How far a random call advances the generator: the arithmetic that client and worker share.

The client owns the generator's state, (seed, offset), and sends both with each random call; the
worker draws. An offset counts blocks of the Philox counter. This file never draws a number.
"""

from __future__ import annotations

__all__ = ["OFFSET_LIMIT", "WORDS_PER_BLOCK", "blocks_for"]

# One Philox4x64 block is four 64-bit words.
WORDS_PER_BLOCK = 4

# Offsets fill the low word of the counter. At 2**30 blocks a second they last for five centuries.
OFFSET_LIMIT = 1 << 64


def blocks_for(numel: int) -> int:
    """Return the blocks to add to the offset after a random call that makes `numel` real elements.

    One block per four elements, whatever the kind and dtype: no kind draws more than one word per
    element. Those that draw half a word (float32, float16, bernoulli) skip the rest, which costs no
    time, since words that nobody asks for are never computed. A complex element counts as two.
    """
    return -(-numel // WORDS_PER_BLOCK)
