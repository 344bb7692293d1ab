"""A pool on a real Ray: leases, deaths, hung workers, scaling, and that nothing stays behind."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gradwire as gw
from gradwire import session as sessions
from gradwire.collectives import Group
from gradwire.credentials import Credentials
from gradwire.pool import Gateway, replace
from gradwire.token_command import entry
from gradwire_pool.home import Home, marked_processes
from gradwire_protocol.errors import (
    AccessDenied,
    GroupBroken,
    NotAuthenticated,
    NoWorkerFree,
    WorkerLost,
    WorkerUnreachable,
)
from gradwire_protocol.v1 import pool_pb2
from tests.system.certificates import Authority
from tests.system.pools import RunningPool, command, free_port, is_alive, parent_of, until

pytestmark = [
    pytest.mark.usefixtures("own_session"),
    pytest.mark.system,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="needs Ray; install it with: pip install 'gradwire[pool]'"
    ),
]

HUNG_SECONDS = 4.0
# The promise for a killed worker, registration included.
BACK_SECONDS = 5.0


@pytest.fixture(scope="module")
def pool() -> Iterator[RunningPool]:
    running = RunningPool("--workers", "2", "--hung-seconds", str(HUNG_SECONDS), "--drain-seconds", "3")
    mark = running.started().mark
    yield running
    done = running.down()
    assert (done.returncode, done.stdout) == (0, "gradwire pool: down\n"), done
    assert list(marked_processes(mark)) == []
    assert not running.home.folder.exists()


def descent(steps: int) -> float:
    weight = gw.full((4,), 2.0, requires_grad=True)
    optimizer = gw.optim.SGD([weight], lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        weight.pow(2).sum().backward()
        optimizer.step()
    return float(weight.sum().item())


def test_leased_workers_are_used_directly_and_given_back(pool: RunningPool) -> None:
    first, second = gw.connect(pool.address, workers=2)
    assert {first.address, second.address} == {w.address for w in pool.gateway.status().workers}
    assert descent(3) == pytest.approx(8 * 0.8**3)
    with pytest.raises(
        NoWorkerFree, match="a lease needs 2 workers of its own; the pool serves on 2, of which 0 would suit"
    ):
        gw.connect(pool.address, workers=2, exclusive=True, connect_seconds=0.5)
    assert pool.gateway.status().leases == 1
    gw.disconnect()
    assert pool.gateway.status().leases == 0
    assert gw.connect(f"pool://{pool.address}").device == "cpu"


def test_a_killed_worker_is_named_and_back_in_time(pool: RunningPool) -> None:
    (session,) = gw.connect(pool.address, workers=1)
    (leased,) = session.lent.workers
    value = gw.ones(3)
    started = time.monotonic()
    os.kill(leased.process, signal.SIGKILL)
    with pytest.raises(WorkerLost, match=f"{leased.name} of the pool at {pool.address} must stay up"):
        value.sum().item()
    found = pool.gateway.resolve(leased.name, leased.incarnation, BACK_SECONDS)
    assert time.monotonic() - started < BACK_SECONDS
    assert found.incarnation > leased.incarnation
    assert session.lent.renew() == [leased.name]
    again = replace(session)
    assert sessions.current() is again
    assert again.lent.workers[0].incarnation == found.incarnation
    assert gw.ones(3).sum().item() == 3.0
    gw.disconnect()
    gw.connect(pool.address, workers=2)
    assert descent(1) == pytest.approx(8 * 0.8)


def test_a_worker_does_not_outlive_its_actor_and_comes_back_in_time(pool: RunningPool) -> None:
    old = pool.worker("worker-1")
    os.kill(old.process, signal.SIGSTOP)  # so that it could not end by itself
    started = time.monotonic()
    os.kill(parent_of(old.process), signal.SIGKILL)
    until(lambda: pool.serving("worker-1", old.incarnation), BACK_SECONDS)
    assert time.monotonic() - started < BACK_SECONDS
    assert not is_alive(old.process)


def test_a_hung_worker_is_noticed_and_replaced(pool: RunningPool) -> None:
    old = pool.worker("worker-0")
    os.kill(old.process, signal.SIGSTOP)
    until(lambda: pool.serving("worker-0", old.incarnation), HUNG_SECONDS + BACK_SECONDS)
    assert not is_alive(old.process)


def test_a_busy_worker_is_not_taken_for_a_hung_one(pool: RunningPool) -> None:
    gw.connect(pool.address, workers=2)
    before = [w.incarnation for w in pool.gateway.status().workers]
    values = gw.rand(1_000_000)
    started = time.monotonic()
    while time.monotonic() - started < HUNG_SECONDS + 1:
        for _ in range(4):
            gw.special.digamma(values)
        values.sum().item()
    assert [w.incarnation for w in pool.gateway.status().workers] == before


def controller(pool: RunningPool) -> int:
    names = {p: Path(f"/proc/{p}/cmdline").read_bytes() for p in pool.processes()}
    return next(process for process, name in names.items() if name.startswith(b"ray::Controller"))


def test_sessions_and_leases_outlive_the_controller(pool: RunningPool) -> None:
    gw.connect(pool.address, workers=2, exclusive=True)
    lent = sessions.current().lent
    assert lent is not None
    before = pool.gateway.status()
    os.kill(controller(pool), signal.SIGKILL)
    assert descent(2) == pytest.approx(8 * 0.8**2), "the data plane does not need it"

    def again() -> bool:
        try:
            return pool.all_serve(2)
        except gw.errors.WorkerUnreachable:
            return False

    until(again, 20)
    after = pool.gateway.status()
    assert [(w.name, w.incarnation) for w in after.workers] == [(w.name, w.incarnation) for w in before.workers]
    assert after.number > before.number
    assert lent.renew() == []
    with pytest.raises(NoWorkerFree, match="2 are lent exclusively"):
        gw.connect(pool.address, workers=1, connect_seconds=0.1)


def store(gateway: Gateway, formed: object, **act: object) -> object:
    request = pool_pb2.StoreRequest(group="g", epoch=formed.epoch, secret=formed.secret, **act)  # type: ignore[attr-defined]
    return gateway.ask("Store", request, request.wait_seconds)


def test_members_meet_in_the_store_and_a_death_frees_those_who_wait(pool: RunningPool) -> None:
    gw.connect(pool.address, workers=2)
    lent = sessions.current().lent
    assert lent is not None
    names = [w.name for w in lent.workers]
    formed = pool.gateway.create_group("g", names, lent.number)
    assert [w.address for w in formed.workers] == [w.address for w in lent.workers]
    wait = {"get": pool_pb2.StoreRequest.Get(key="id"), "wait_seconds": 20.0}
    late = threading.Timer(0.2, store, (pool.gateway, formed), {"set": pool_pb2.StoreRequest.Set(key="id", value=b"7")})
    late.start()
    assert store(pool.gateway, formed, **wait).value == b"7"  # type: ignore[attr-defined]
    late.join()

    again = pool.gateway.create_group("g", names, lent.number)
    assert again.epoch > formed.epoch
    with pytest.raises(GroupBroken, match=f"epoch {formed.epoch} of group 'g' is over"):
        store(pool.gateway, formed, **wait)
    started = time.monotonic()
    threading.Timer(0.2, os.kill, (lent.workers[1].process, signal.SIGKILL)).start()
    with pytest.raises(GroupBroken, match=rf"{names[1]} \(incarnation \d+\) was lost; form the group anew"):
        store(pool.gateway, again, **wait)
    assert time.monotonic() - started < BACK_SECONDS
    lent.replaced(names[1], BACK_SECONDS)
    assert pool.gateway.create_group("g", names, lent.number).epoch > again.epoch


def test_scaling_and_draining_spare_the_leased(pool: RunningPool) -> None:
    (session,) = gw.connect(pool.address, workers=1)
    kept = session.lent.workers[0].name
    shown = command("scale", "3", "--gateway", pool.address)
    assert shown.returncode == 0
    assert "starting" in shown.stdout
    until(lambda: pool.all_serve(3), 20)
    gone = [w.process for w in pool.gateway.status().workers if w.name != kept]
    assert command("scale", "1", "--gateway", pool.address).returncode == 0
    until(lambda: [w.name for w in pool.gateway.status().workers] == [kept], 20)
    assert not any(is_alive(process) for process in gone)

    assert "draining" in command("drain", kept, "--gateway", pool.address).stdout
    assert gw.ones(2).sum().item() == 2.0, "running sessions are let finish"
    gw.disconnect()
    until(lambda: pool.worker(kept) is None, 5)
    pool.gateway.scale(2)
    until(lambda: pool.all_serve(2), 20)
    refused = command("drain", "nobody", "--gateway", pool.address)
    assert refused.returncode == 1
    assert "must be one of worker-0, worker-1; got 'nobody'" in refused.stderr


def listening(process: int) -> set[str]:
    """Return the addresses on which a process accepts connections, as the kernel writes them."""
    sockets = {os.readlink(link) for link in Path(f"/proc/{process}/fd").iterdir() if link.is_symlink()}
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets}


def test_everything_listens_on_loopback_and_workers_never_see_rays_token(pool: RunningPool) -> None:
    loopback = {"0100007F", "0" * 24 + "01000000", "0000000000000000FFFF00000100007F"}
    addresses = {address for process in pool.processes() for address in listening(process)}
    assert addresses
    assert addresses <= loopback
    token = pool.home.folder / "token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    for worker in pool.gateway.status().workers:
        words = Path(f"/proc/{worker.process}/environ").read_bytes().split(b"\0")
        assert [w for w in words if w.startswith(b"RAY_") or token.read_bytes() in w] == []
        assert f"GRADWIRE_GATEWAY={pool.address}".encode() in words


def test_a_port_has_one_pool(pool: RunningPool) -> None:
    done = command("up", "--port", str(pool.port))
    assert done.returncode == 1
    assert f"end it with: gradwire pool down --port {pool.port}" in done.stderr
    assert "nobody answers at '127.0.0.1:9'" in command("up", "--port", "9", "--address", "127.0.0.1:9").stderr
    nobody = command("status", "--gateway", "127.0.0.1:9", "--seconds", "0.3")
    assert (nobody.returncode, "127.0.0.1:9" in nobody.stderr) == (1, True)


def joining(pool: RunningPool) -> tuple[str, dict[str, str]]:
    """Return where a pool's Ray is, and the environment that opens it: its owner's alone."""
    lines = [Path(f"/proc/{p}/cmdline").read_bytes().decode() for p in pool.processes()]
    address = next(m[1] for line in lines if (m := re.search(r"--gcs-address=(127\.0\.0\.1:\d+)", line)))
    token = str(pool.home.folder / "token")
    return address, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": token, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


def test_a_second_pool_joins_a_running_ray_and_leaves_it_as_it_was(pool: RunningPool) -> None:
    address, environment = joining(pool)
    before = {w.process for w in pool.gateway.status().workers}
    joined = RunningPool("--workers", "1", "--address", address, **environment)
    worker = joined.worker("worker-0")
    gw.connect(f"pool://{joined.address}")
    assert descent(1) == pytest.approx(8 * 0.8)
    gw.disconnect()
    assert joined.down(**environment).returncode == 0
    until(lambda: not is_alive(worker.process), 5)
    assert {w.process for w in pool.gateway.status().workers} == before


def test_the_doors_of_a_pool_are_those_of_its_workers(pool: RunningPool, tmp_path: Path) -> None:
    authority, tokens = Authority(tmp_path, "authority"), tmp_path / "tokens.toml"
    own, visitor = authority.issue("127.0.0.1", name="pool"), authority.issue("visitor", name="visitor")
    tokens.write_text("".join(entry(f"gw_{role}", "a", role, None) for role in ("run", "admin")))
    tokens.chmod(0o600)
    flags = (*own.as_flags(), "--tls-client-ca", authority.file, "--tokens", str(tokens), "--hung-seconds", "2")
    comes_in = {"tls_ca": authority.file, **visitor.as_arguments()}
    run, admin = (Credentials(token, **comes_in) for token in ("gw_run", "gw_admin"))
    address, environment = joining(pool)
    joined = RunningPool("--workers", "1", "--address", address, *flags, credentials=run, **environment)
    worker = joined.worker("worker-0")
    gw.connect(f"pool://{joined.address}", token="gw_run", **comes_in)
    assert descent(1) == pytest.approx(8 * 0.8)
    time.sleep(3)  # hung or not is asked by TLS too
    assert joined.worker("worker-0").incarnation == worker.incarnation
    with pytest.raises(AccessDenied, match="this one has role run"):
        joined.gateway.scale(0)
    with pytest.raises(NotAuthenticated):
        Gateway(joined.address, credentials=Credentials("gw_wrong", **comes_in)).status()
    with pytest.raises(WorkerUnreachable, match="certificate"):
        Gateway(joined.address, credentials=Credentials("gw_run", tls_ca=authority.file))
    with pytest.raises(WorkerUnreachable, match="does it want TLS"):
        gw.connect(f"pool://{joined.address}")
    gw.disconnect()
    Gateway(joined.address, credentials=admin).scale(0)
    until(lambda: joined.worker("worker-0") is None, 15)
    assert joined.down(**environment).returncode == 0


def _named_pool(tmp_path: Path) -> tuple[RunningPool, dict[str, Any]]:
    """Return a pool whose workers have a name and a certificate for it alone, and what its clients trust."""
    authority = Authority(tmp_path, "authority")
    own = authority.issue("localhost", name="pool")
    named = RunningPool(
        "--workers", "2", *own.as_flags(), "--advertise", "localhost", "--hung-seconds", "2",
        credentials=Credentials(tls_ca=authority.file), host="localhost", GRADWIRE_TLS_CA=authority.file,
    )  # fmt: skip
    return named, {"tls_ca": authority.file}


@pytest.mark.parity  # for gloo
def test_workers_meet_by_name_for_collectives(tmp_path: Path) -> None:
    named, trust = _named_pool(tmp_path)
    group = Group(gw.connect(named.address, workers=2, **trust))
    parts = group.all_reduce([gw.ones(3, device="cpu:0"), gw.ones(3, device="cpu:1")])
    assert [part.sum().item() for part in parts] == [6.0, 6.0]
    group.close()
    gw.disconnect()
    assert named.down().returncode == 0


def test_workers_are_known_by_the_name_that_their_certificate_has(tmp_path: Path) -> None:
    named, trust = _named_pool(tmp_path)
    workers = list(named.gateway.status().workers)
    assert {worker.address.rpartition(":")[0] for worker in workers} == {"localhost"}
    by_address = workers[0].address.replace("localhost", "127.0.0.1")
    with pytest.raises(WorkerUnreachable, match="certificate is for another name"):
        gw.connect(by_address, **trust)
    gw.connect(named.address, workers=2, **trust)
    copied = gw.arange(100_000, device="cpu:0").to("cpu:1")
    assert copied.sum().item() == 4_999_950_000
    time.sleep(3)  # hung or not is asked by that name too
    assert [w.incarnation for w in named.gateway.status().workers] == [w.incarnation for w in workers]
    gw.disconnect()
    assert named.down().returncode == 0


def test_a_pool_beyond_loopback_needs_doors() -> None:
    done = command("up", "--host", "192.0.2.1")
    assert done.returncode == 1
    assert "a pool that listens beyond loopback needs TLS and tokens; got 192.0.2.1:7470 without both" in done.stderr


def test_workers_that_find_no_place_are_an_error_and_leave_nothing(pool: RunningPool) -> None:
    address, environment = joining(pool)
    port = str(free_port())
    asked = ("--workers", "1", "--gpus-per-worker", "64", "--wait-seconds", "3")
    done = command("up", "--port", port, "--address", address, *asked, **environment)
    assert done.returncode == 1
    assert "1 workers must serve within 3 s; 0 did; the pool was ended" in done.stderr
    assert not Home(int(port)).folder.exists()
    assert command("status", "--gateway", f"127.0.0.1:{port}", "--seconds", "0.3").returncode == 1


def test_a_pool_whose_ray_was_killed_leaves_nothing_after_down() -> None:
    pool = RunningPool("--workers", "1")
    started, workers = pool.started(), [w.process for w in pool.gateway.status().workers]
    os.kill(started.process, signal.SIGKILL)
    done = pool.down()
    assert done.returncode == 0, done.stderr
    assert list(marked_processes(started.mark)) == []
    assert not any(is_alive(process) for process in workers)
    assert command("down", "--port", str(pool.port)).returncode == 1
