"""Ray as a pool needs it: started on this machine for this pool alone, or joined where it runs already."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import ray

from gradwire_pool.controller import CONTROLLER, Controller, PoolPlan, worker_names
from gradwire_pool.doors import Doors
from gradwire_pool.records import Bounds

__all__ = ["join", "leave", "open_pool", "pool_plan", "remove_pool", "start_local"]

# Near Ray's minimum: no tensor ever lies in its store.
_OBJECT_STORE_BYTES = 80 << 20
# How long running calls may go on when the pool ends.
_GRACE_SECONDS = 5.0
_ANSWER_SECONDS = 1.0


def start_local(folder: Path) -> None:
    """Start a Ray for this pool. Reads the environment of `home.Home.environment`, which has to be there before Ray is imported."""
    ray.init(
        # Never one that runs already, whatever RAY_ADDRESS says.
        address="local",
        include_dashboard=False,
        object_store_memory=_OBJECT_STORE_BYTES,
        _temp_dir=str(folder),
        log_to_driver=False,
        logging_level="ERROR",
    )


def join(address: str) -> None:
    """Connect to a running Ray, with whatever token and TLS its own environment names give."""
    # A pool that cannot be completed is ended by the process that began it.
    if ray.is_initialized():
        return
    ray.init(address=address, log_to_driver=False, logging_level="ERROR")


def leave() -> None:
    """Let go of Ray, and end it if it was started here."""
    ray.shutdown()


def pool_plan(fields: dict[str, Any]) -> PoolPlan:
    """Return a plan from what JSON holds."""
    made = {"bounds": Bounds(**fields["bounds"]), "doors": Doors(**fields["doors"])}
    return PoolPlan(**{**fields, **made, "worker_flags": tuple(fields["worker_flags"])})


def open_pool(plan: PoolPlan, seconds: float) -> int:
    """Make the controller on this node, where clients look for it, and wait for the workers; return how many serve in time."""
    here = ray.get_runtime_context().get_node_id()
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node_id=here, soft=False)
    actor: Any = ray.remote(Controller)
    controller = actor.options(
        name=CONTROLLER,
        namespace=plan.namespace,
        lifetime="detached",
        max_restarts=-1,
        # Each worker's announcement may be in one of these.
        max_concurrency=256,
        num_cpus=0,
        scheduling_strategy=strategy,
    ).remote(plan)
    deadline = time.monotonic() + seconds
    # The first answer comes when the gateway listens; its refusal to do so is raised here.
    serving: int = ray.get(controller.serving.remote(), timeout=seconds)
    while serving < plan.workers and time.monotonic() < deadline:
        time.sleep(0.05)
        serving = ray.get(controller.serving.remote())
    return serving


def remove_pool(namespace: str) -> None:
    """End a pool's actors: the controller, so that it replaces nobody, then the workers, which finish what runs."""
    names = worker_names(namespace)
    _kill([actor for name in (CONTROLLER,) if (actor := _find(name, namespace))])
    workers = [actor for name in names if (actor := _find(name, namespace))]
    # One that Ray found no place for, or that hangs, is not waited for.
    there = _answered({worker.is_there.remote(): worker for worker in workers}, _ANSWER_SECONDS)
    _answered({worker.end.remote(_GRACE_SECONDS): worker for worker in there}, _GRACE_SECONDS + 1)
    _kill(workers)


def _answered(asked: dict[Any, Any], seconds: float) -> list[Any]:
    """Return the actors whose calls were answered in time."""
    if not asked:
        return []
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=seconds)
    return [asked[call] for call in answered]


def _find(name: str, namespace: str) -> Any:
    try:
        return ray.get_actor(name, namespace=namespace)
    except ValueError:
        return None


def _kill(actors: list[Any]) -> None:
    for actor in actors:
        ray.kill(actor, no_restart=True)
