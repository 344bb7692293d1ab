"""What a pool reads from the machine, and what it refuses before anything is started."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gradwire as gw
from gradwire_pool import commands
from gradwire_pool.advertised import check_name, name_of
from gradwire_pool.doors import Doors
from gradwire_pool.gauges import Busy, host_memory_bytes
from gradwire_pool.home import Home, Started, marked_processes, started_at


def machine(root: Path, limit: str = "") -> Path:
    """Write a machine of 8 GiB with 6 free, and a container's limit with 1 GiB used."""
    (root / "proc").mkdir()
    (root / "proc/meminfo").write_text("MemTotal:  8388608 kB\nMemFree:  1 kB\nMemAvailable:  6291456 kB\n")
    if limit:
        (root / "sys/fs/cgroup").mkdir(parents=True)
        (root / "sys/fs/cgroup/memory.max").write_text(limit + "\n")
        (root / "sys/fs/cgroup/memory.current").write_text(f"{1 << 30}\n")
    return root


@pytest.mark.parametrize(
    ("limit", "gib"), [("", (6, 8)), ("max", (6, 8)), (str(4 << 30), (3, 4)), (str(9 << 30), (6, 8))]
)
def test_memory_is_the_machines_or_what_its_container_may_use(tmp_path: Path, limit: str, gib: tuple[int, int]) -> None:
    assert host_memory_bytes(machine(tmp_path, limit)) == (gib[0] << 30, gib[1] << 30)


def test_a_busy_process_is_told_from_an_idle_one() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        busy, idle = Busy(process.pid), Busy(1)
        time.sleep(0.5)
        assert idle.read() < 0.2 < busy.read()
        process.kill()


def test_a_process_is_known_by_when_it_started_and_by_its_mark() -> None:
    environment = {**os.environ, "GRADWIRE_TEST_MARK": "7"}
    with subprocess.Popen([sys.executable, "-c", "input()"], env=environment, stdin=subprocess.PIPE) as process:
        noted = Started("", "", "", "", process.pid, started_at(process.pid))
        assert noted.is_running()
        assert not Started("", "", "", "", process.pid, noted.process_started_at - 1).is_running(), (
            "the id was used again"
        )
        assert list(marked_processes("GRADWIRE_TEST_MARK=7")) == [process.pid]
        assert Home.end_marked("GRADWIRE_TEST_MARK=7", 5) == 1
    assert not noted.is_running()


def test_a_pools_folder_is_its_users_alone(tmp_path: Path) -> None:
    home = Home(7)
    home.parent, home.folder = tmp_path / "p", tmp_path / "p/7"
    home.make()
    assert "RAY_AUTH_TOKEN_PATH" in home.environment()
    assert stat.S_IMODE((home.folder / "token").stat().st_mode) == 0o600
    home.parent.chmod(0o755)
    with pytest.raises(PermissionError, match="must be this user's alone, since it holds Ray's token"):
        home.make()


def test_doors_that_do_not_close_are_refused() -> None:
    Doors().check("127.0.0.1:1")
    Doors("t", "c", "k").check("0.0.0.0:1")
    for doors in (Doors(), Doors("t"), Doors("", "c", "k")):
        with pytest.raises(ValueError, match=r"beyond loopback needs TLS and tokens; got 0\.0\.0\.0:1 without both"):
            doors.check("0.0.0.0:1")
    for doors in (Doors("", "c"), Doors("", "", "k"), Doors("", "", "", "a")):
        with pytest.raises(ValueError, match="give both of"):
            doors.check("127.0.0.1:1")
    assert Doors("t", "", "", "").flags() == ("--tokens", "t")


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(commands, "find_spec", lambda name: None)
    assert commands.main(["up"]) == 1
    assert "pip install 'gradwire[server,pool]'" in capsys.readouterr().err


def test_what_a_worker_said_before_it_ended_is_found_in_rays_logs(tmp_path: Path) -> None:
    home = Home(7)
    home.folder = tmp_path
    assert home.worker_words() == ""
    logs = tmp_path / "session_latest/logs"
    logs.mkdir(parents=True)
    (logs / "worker-1.err").write_text(
        ":actor_name:WorkerActor\nusage: gradwire worker ...\ngradwire worker: error: why\nended\n"
    )
    (logs / "worker-2.err").write_text(":actor_name:Controller\nstart worker-0\n")
    assert home.worker_words() == "gradwire worker: error: why"


def test_a_nodes_name_has_its_address_and_its_hosts_name() -> None:
    assert name_of("", "192.0.2.7") == "192.0.2.7"
    assert name_of("{ip}.pool.ns.svc.cluster.local", "192.0.2.7") == "192-0-2-7.pool.ns.svc.cluster.local"
    assert name_of("{ip}.pool", "[::1]") == "--1.pool"
    assert name_of("{hostname}.pool", "127.0.0.1") == f"{socket.gethostname()}.pool"
    assert name_of("one.example", "localhost") == "one.example"


@pytest.mark.parametrize("wrong", ["a:7471", "{node}.pool", "a b", ".a", "a..b", "https://a", "-a"])
def test_what_is_no_name_is_refused_before_anything_starts(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["up", f"--advertise={wrong}"]) == 1
    assert "--advertise is a host's name without a port; {ip} in it" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "localhost", "{ip}.pool.ns.svc", "{hostname}.pool", "10.0.0.7"])
def test_a_name_is_taken(name: str) -> None:
    check_name(name)


def test_waiting_for_room_is_refused_before_a_gateway_is_asked() -> None:
    with pytest.raises(TypeError, match="wait_seconds for workers' own addresses"):
        gw.connect("pool://127.0.0.1:1", wait_seconds=5)
