"""The Ray actor of a worker: a supervisor in a thread. One per worker, detached, restarted by Ray for ever."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import ray

from gradwire_pool.advertised import name_of
from gradwire_pool.records import Announcement
from gradwire_pool.supervisor import Plan, Supervisor

__all__ = ["WorkerActor"]

# Shorter than the announcement's own lease, so that a lost call is made again in time.
_ANNOUNCE_SECONDS = 1.0


class WorkerActor:
    """Runs one worker. `ray.remote` is applied where it is made, with the worker's resources."""

    def __init__(self, plan: Plan, controller: Any) -> None:
        """Start the worker on this node, and go on without waiting for it."""
        node = ray.get_runtime_context().get_node_id()
        host = plan.host or ray.util.get_node_ip_address()

        def announce(said: Announcement) -> int:
            given: int = ray.get(controller.announce.remote(said), timeout=_ANNOUNCE_SECONDS)
            return given

        known_as = name_of(plan.known_as, host)
        self._supervisor = Supervisor(replace(plan, node=node, host=host, known_as=known_as), announce)
        threading.Thread(target=self._supervisor.run, name="supervisor", daemon=True).start()

    def is_there(self) -> bool:
        """Return True."""
        return True

    def kill(self) -> None:
        """Kill the worker's process, which hangs; another one follows."""
        self._supervisor.kill()

    def end(self, grace_seconds: float) -> None:
        """Let the worker finish what runs, and start no other."""
        self._supervisor.end(grace_seconds)
