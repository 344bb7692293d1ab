"""`python -m gradwire_server`: run a worker until it is told to stop."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradwire_server.settings import parse

if TYPE_CHECKING:
    from gradwire_server.service import WorkerServer


def _watch_stdin(stop: threading.Event) -> None:
    """Stop when standard input closes: the pipe from the client's process, which closes however that ends."""
    while os.read(0, 4096):
        pass
    stop.set()


def _serve_metrics(server: WorkerServer, listen: str) -> str:
    """Serve metrics if asked to; return their URL."""
    if not listen:
        return ""
    from gradwire_server.metrics import serve_metrics

    return serve_metrics(server.service, listen)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM, SIGINT, or (embedded) the end of standard input; return the exit status."""
    settings = parse(arguments)
    # Before numpy is imported: BLAS reads it once.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, str(settings.threads))
    from gradwire_server.backend import open_backend
    from gradwire_server.memory import keep_freed
    from gradwire_server.service import WorkerServer

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        server = WorkerServer(open_backend(settings.device), settings, stop.set)
        metrics = _serve_metrics(server, settings.metrics_listen)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        print(f"gradwire worker: {error}", file=sys.stderr)
        return 1
    keep_freed()
    # What is loaded by now lives as long as the process. Graphs are long chains of small objects, which counting references
    # frees; looking for cycles among them at every 700th cost a third of a recorded call.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    server.start()
    print(f"gradwire worker: serving {settings.device} on {server.address}", flush=True)
    if metrics:
        print(f"gradwire worker: metrics on {metrics}", flush=True)
    if settings.until_stdin_closes:
        threading.Thread(target=_watch_stdin, args=(stop,), daemon=True).start()
    stop.wait()
    server.drain()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
