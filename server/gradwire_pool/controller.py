"""The controller: the Ray actor that holds the pool's table and serves its gateway. Detached, named, restarted by Ray."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass, field
from typing import Any

import ray

from gradwire_pool.advertised import name_of
from gradwire_pool.doors import Doors
from gradwire_pool.gateway import open_gateway
from gradwire_pool.pool import Pool
from gradwire_pool.probes import is_answering
from gradwire_pool.records import Announcement, Bounds
from gradwire_pool.supervisor import Plan
from gradwire_pool.worker_actor import WorkerActor

__all__ = ["CONTROLLER", "Controller", "PoolPlan", "worker_names"]

log = logging.getLogger("gradwire.pool")

CONTROLLER = "controller"
_GRACE_SECONDS = 10.0
_EVERYWHERE = ("0.0.0.0", "[::]")


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """What a pool is made of."""

    namespace: str
    listen: str
    workers: int
    # Where workers listen, all on the controller's node; empty for any node, by its address.
    worker_host: str
    gpus_per_worker: float = 0.0
    cpus_per_worker: float = 0.0
    worker_flags: tuple[str, ...] = ()
    bounds: Bounds = field(default_factory=Bounds)
    doors: Doors = field(default_factory=Doors)
    # By what name others reach gateway and workers, see `advertised`; empty where that is their address.
    advertise: str = ""

    @property
    def device(self) -> str:
        """Return the device of each worker. Ray shows a process no GPU but its own, so that is number 0."""
        return "cuda:0" if self.gpus_per_worker else "cpu"


def worker_names(namespace: str) -> list[str]:
    """Return the names of the workers' actors that are alive or being restarted."""
    named = ray.util.list_named_actors(all_namespaces=True)
    return [found["name"] for found in named if found["namespace"] == namespace and found["name"] != CONTROLLER]


class RayEngine:
    """Workers as detached actors."""

    def __init__(self, plan: PoolPlan) -> None:
        """Make workers as `plan` says. Called inside the controller's actor, whose handle the workers get."""
        self._plan = plan
        self._actor: Any = ray.remote(WorkerActor)
        context = ray.get_runtime_context()
        self._controller = context.current_actor
        host, _, port = plan.listen.rpartition(":")
        self._gateway = (
            f"{name_of(plan.advertise, ray.util.get_node_ip_address() if host in _EVERYWHERE else host)}:{port}"
        )
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node_id=context.get_node_id(), soft=False)
        # On loopback a worker of another node would be out of reach.
        self._strategy = here if plan.worker_host else "SPREAD"

    def _get(self, worker: str) -> Any:
        return ray.get_actor(worker, namespace=self._plan.namespace)

    def start(self, worker: str) -> None:
        """Make the actor, and wait for nothing: a node may have to come first."""
        plan = self._plan
        self._actor.options(
            name=worker,
            namespace=plan.namespace,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            max_concurrency=4,
            num_cpus=plan.cpus_per_worker,
            num_gpus=plan.gpus_per_worker,
            scheduling_strategy=self._strategy,
        ).remote(
            Plan(
                worker,
                "",
                plan.worker_host,
                plan.device,
                self._gateway,
                (*plan.doors.flags(), *plan.worker_flags),
                plan.advertise,
            ),
            self._controller,
        )

    def restart(self, worker: str) -> None:
        """Kill the worker's process; its actor starts another."""
        self._get(worker).kill.remote()

    def recreate(self, worker: str) -> None:
        """Kill the actor, which Ray restarts; make it, if there is none."""
        try:
            actor = self._get(worker)
        except ValueError:
            self.start(worker)
            return
        ray.kill(actor, no_restart=False)

    def retire(self, worker: str) -> None:
        """Let the worker's process finish, then end its actor."""
        try:
            actor = self._get(worker)
        except ValueError:
            return
        try:
            ray.get(actor.end.remote(_GRACE_SECONDS), timeout=_GRACE_SECONDS + 1)
        except ray.exceptions.RayError:
            log.warning("%s did not end by itself", worker, exc_info=True)
        ray.kill(actor, no_restart=True)


class Controller:
    """Holds one pool. Its methods are called by the workers' actors and by `gradwire pool`; users speak to the gateway."""

    def __init__(self, plan: PoolPlan) -> None:
        """Open the gateway, and start the workers, or take over those that a controller before started."""
        self._plan = plan
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="gateway", daemon=True).start()
        self._pool: Pool = self._call(self._open(RayEngine(plan)))

    def _call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self, engine: RayEngine) -> Pool:
        plan = self._plan
        pool = Pool(engine, lambda address: is_answering(address, plan.doors), plan.bounds)
        self._server, _ = await open_gateway(pool, plan.listen, plan.doors)
        existing = await asyncio.to_thread(worker_names, plan.namespace)
        if existing:
            pool.table.adopt(existing, pool.now())
        else:
            pool.act(pool.table.scale(plan.workers, pool.now()))
        pool.spawn(pool.run())
        return pool

    def announce(self, said: Announcement) -> int:
        """Note that a worker is there; return its incarnation, or 0 where it is to end."""
        given: int = self._call(self._pool.announce(said))
        return given

    def serving(self) -> int:
        """Return how many workers serve."""
        return len(self._pool.table.serving())
