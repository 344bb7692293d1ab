"""What a caller may be told of an error: the classes and words that the contract knows, and never the worker's insides.

A path, an address in memory or a trace helps an attacker, and says nothing to the one who made the call.
"""

from __future__ import annotations

import logging
import re
import secrets

from gradwire_protocol.errors import GradwireError, KernelError, is_known

__all__ = ["told"]

log = logging.getLogger("gradwire.errors")

# An absolute path, an object's address, a trace. A slash inside of a number, a unit or a URL is none of these.
_INSIDES = re.compile(r"""(?<![\w.:/])/(?:[\w.@+-]+/)+[\w.@+-]+ | \b0x[0-9a-fA-F]{6,} | Traceback\ \(most | \bFile\ "
    | \bline\ \d+,\ in\ """, re.VERBOSE)  # fmt: skip


def told(error: BaseException) -> BaseException:
    """Return the error as its caller may see it: itself, or a KernelError with a number under which the worker's log has it."""
    if isinstance(error, GradwireError) or (is_known(error) and not _INSIDES.search(str(error))):
        return error
    number = secrets.token_hex(4)
    log.error("error %s", number, exc_info=error)
    hidden = KernelError(
        f"a call must not fail inside the worker, and this one did; the worker's log says how, under error {number}. If its "
        "machine is healthy, that is a bug of gradwire's: please report it"
    )
    # Where it was, which the caller knows: the call of its own program.
    for name in ("program_call", "program_step"):
        if hasattr(error, name):
            setattr(hidden, name, getattr(error, name))
    return hidden
