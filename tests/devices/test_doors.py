"""Workers behind TLS and tokens reach each other, with either server."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

import gradwire as gw
from gradwire import session as sessions
from gradwire.collectives import Group
from gradwire.transfer import road
from tests.devices.conftest import Worker
from tests.system.certificates import Authority

pytestmark = pytest.mark.system


@pytest.fixture(autouse=True)
def own_session() -> Iterator[None]:
    previous, sessions._current = sessions._current, None
    yield
    gw.disconnect()
    sessions._current = previous


@pytest.mark.parametrize("flags", [[], ["--public-server"]], ids=["own queues", "grpcio's server"])
def test_workers_reach_each_other_by_tls(flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path, "authority")
    own = authority.issue("localhost", "127.0.0.1", name="worker")
    for name, path in (("TLS_CA", authority.file), ("TLS_CERTIFICATE", own.certificate), ("TLS_KEY", own.key)):
        monkeypatch.setenv(f"GRADWIRE_{name}", path)
    doors = [*own.as_flags(), "--tls-client-ca", authority.file]
    workers = [Worker(*flags, *doors), Worker(*flags, *doors)]
    try:
        opened = gw.connect([worker.address for worker in workers])
        assert road(opened[0], opened[1]) == workers[0].address
        assert gw.ones(100_000).to("cpu:1").sum().item() == 100_000
        if importlib.util.find_spec("torch") is not None:
            assert Group(opened).all_reduce([gw.ones(1), gw.ones(1, device="cpu:1")])[0].item() == 2
    finally:
        gw.disconnect()
        for worker in workers:
            worker.kill()


def test_what_cannot_go_directly_goes_through_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path, "authority")
    own = authority.issue("localhost", "127.0.0.1", name="worker")
    # These workers are told nobody to trust, so each takes the other for a stranger.
    workers = [Worker(*own.as_flags()), Worker(*own.as_flags())]
    try:
        opened = gw.connect([worker.address for worker in workers], tls_ca=authority.file)
        assert road(opened[0], opened[1]) is None
        x = gw.arange(3.0).requires_grad_()
        moved = (x * 2).to("cpu:1")
        moved.sum().backward()
        assert (moved.tolist(), x.grad.tolist()) == ([0, 2, 4], [2, 2, 2])
        with pytest.raises(gw.errors.GroupBroken, match="must reach each other"):
            Group(opened)
    finally:
        gw.disconnect()
        for worker in workers:
            worker.kill()
