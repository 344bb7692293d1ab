"""Where the time goes between client and worker: `gradwire.profile`. docs/profiling.md shows what it prints.

Nothing of it but this file and `ranges` is imported before a profile is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradwire.profiling.ranges import record_function

if TYPE_CHECKING:
    from gradwire.profiling.profiled_block import Profile
    from gradwire.session import Session

__all__ = ["profile", "record_function"]


def profile(session: Session | None = None) -> Profile:
    """Profile what a `with` block does in a session, by default the current one: `with gw.profile() as p: ...; print(p)`.

    The worker measures each call meanwhile, which costs it about a microsecond a call; on a GPU it waits for each call's
    kernels, so that times are theirs. Entering waits until the worker is done with what came before; leaving waits until it is
    done with all.
    """
    from gradwire.profiling.profiled_block import Profile

    return Profile(session)
