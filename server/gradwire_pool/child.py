"""Becomes a worker process that cannot outlive the one that started it. Run as a script, before anything is imported.

A worker ends when its standard input closes; one that hangs would not notice. So the kernel is asked to kill it too.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Bind this process's life to its parent's (first argument), and become `python -m gradwire_server` with the others."""
    parent = int(sys.argv[1])
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    # The parent may have ended before it was asked for.
    if os.getppid() != parent:
        raise SystemExit("the process that starts a worker must stay; it has ended already")
    os.execv(sys.executable, [sys.executable, "-m", "gradwire_server", *sys.argv[2:]])


if __name__ == "__main__":
    main()
