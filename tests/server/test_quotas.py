"""Quotas: what counts, what is refused, and that a refused call costs its session nothing but that call. No sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire import session as sessions
from gradwire_protocol.dtypes import float32
from gradwire_protocol.errors import QuotaExceeded
from gradwire_protocol.meta import Meta
from gradwire_server import shortage
from gradwire_server.available import available_bytes
from gradwire_server.backend import open_backend
from gradwire_server.quota_settings import Quotas, parse_bytes
from gradwire_server.quotas import Tenant
from gradwire_server.session import Session as WorkerSession
from gradwire_server.settings import parse
from gradwire_server.uploads import Uploads
from tests.support import open_loopback

MIB = 1 << 20
Opening = Callable[..., WorkerSession]


@pytest.fixture
def opening() -> Iterator[Opening]:
    """Make loopback sessions of one tenant, the last one the current one."""
    previous, tenants = sessions._current, []

    def open_session(**quotas: int) -> WorkerSession:
        session, loopback = open_loopback()
        if quotas or not tenants:
            tenants.append(Tenant(Quotas(**quotas)))
        loopback.worker = WorkerSession(open_backend("cpu"), tenant=tenants[-1])
        sessions.use(session)
        return loopback.worker

    yield open_session
    sessions._current = previous


def mebibytes(count: int) -> Any:
    """Return a tensor of so many MiB."""
    return gw.zeros(count * MIB // 4)


def test_a_call_over_the_quota_fails_alone_and_the_session_goes_on_after_a_del(opening: Opening) -> None:
    worker = opening(session_bytes=5 * MIB)
    held = mebibytes(3)
    with pytest.raises(
        RuntimeError, match=r"5 MiB \(--max-session-bytes\); 3 MiB are held, and this call makes 4 MiB more"
    ) as caught:
        mebibytes(4).sum().item()
    assert type(caught.value) is QuotaExceeded
    assert worker.meter.rejections == {"session_bytes": 1}, "the calls that read its result count no more"
    assert held.sum().item() == 0
    del held
    assert (mebibytes(2) + 1).sum().item() == MIB // 2


def test_memory_is_counted_once_whatever_views_it(opening: Opening) -> None:
    worker = opening(session_bytes=5 * MIB)
    base = mebibytes(3)
    views = [base[1:], base.view(2, -1), base.detach(), base.expand(4, -1)]
    base.add_(1)
    views[1].mul_(2)
    assert mebibytes(1).sum().item() == 0
    gw.ones(1).item()  # with it goes what was released before
    worker.meter.recount()
    assert worker.meter.bound_bytes <= 3 * MIB + 64, "an item's result may still be held"
    view = views[0]
    del base, views
    gw.ones(1).item()
    worker.meter.recount()
    assert worker.meter.bound_bytes >= 3 * MIB, "one view keeps the whole memory"
    del view


def test_what_a_graph_saves_counts_until_backward(opening: Opening) -> None:
    opening(session_bytes=6 * MIB)
    leaf = mebibytes(1).requires_grad_()
    loss = leaf.exp().exp().exp().exp().sum()
    with pytest.raises(QuotaExceeded, match="5 MiB are held"):
        mebibytes(2).sum().item()
    loss.backward()
    assert mebibytes(2).sum().item() == 0


def test_temporaries_that_a_batch_releases_do_not_add_up(opening: Opening) -> None:
    opening(session_bytes=4 * MIB)
    value = mebibytes(1)
    for _ in range(100):
        value = value + 1
    assert value[0].item() == 100


def test_poisoned_results_hold_nothing(opening: Opening) -> None:
    worker = opening(session_bytes=2 * MIB)
    poisoned = [mebibytes(3) for _ in range(5)]
    with pytest.raises(QuotaExceeded):
        poisoned[0].sum().item()
    worker.meter.recount()
    assert worker.meter.bound_bytes < 1024
    assert mebibytes(1).sum().item() == 0


def test_handles_have_a_quota_of_their_own(opening: Opening) -> None:
    worker = opening(session_handles=20)
    held = [gw.zeros(1) for _ in range(15)]
    held[0].item()
    with pytest.raises(QuotaExceeded, match=r"20 tensors \(--max-session-handles\)"):
        [gw.ones(1) for _ in range(15)][-1].item()
    assert held[0].item() == 0
    assert set(worker.meter.rejections) == {"session_handles"}


def test_sessions_of_a_tenant_share_a_quota_and_what_one_frees_the_other_gets(opening: Opening) -> None:
    first = opening(tenant_bytes=4 * MIB, tenant_sessions=2)
    client = sessions._current
    held = mebibytes(3)
    held.sum().item()
    second = opening()
    assert first.meter.tenant is second.meter.tenant
    with pytest.raises(QuotaExceeded, match=r"--max-tenant-bytes\); 3 MiB are held"):
        mebibytes(2).sum().item()
    with pytest.raises(QuotaExceeded, match="--max-tenant-sessions"):
        first.meter.tenant.check_session()
    assert (first.meter.rejections, second.meter.rejections) == ({}, {"tenant_bytes": 1})
    other, sessions._current = sessions._current, client
    del held
    gw.ones(1).item()
    sessions._current = other
    assert mebibytes(2).sum().item() == 0
    first.meter.close()
    first.meter.tenant.check_session()


def test_nothing_is_allocated_for_a_call_that_is_refused(opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    opening(session_bytes=MIB)
    gw.ones(3).sum().item()
    asked: list[Any] = []
    for name in ("zeros", "empty", "full"):
        monkeypatch.setattr(np, name, lambda *arguments, **keywords: asked.append(arguments))
    with pytest.raises(QuotaExceeded):
        gw.zeros(MIB).sum().item()
    assert not asked


def test_more_than_the_machine_has_is_refused_without_any_quota(
    opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = opening()
    with pytest.raises(QuotaExceeded, match="memory that the worker's machine has"):
        gw.zeros(1 << 50).sum().item()
    monkeypatch.setattr(shortage, "available_bytes", lambda: 200 * MIB)
    with pytest.raises(QuotaExceeded, match="72 MiB are left, and this call makes 80 MiB"):
        mebibytes(80).sum().item()
    assert worker.meter.rejections == {"memory": 2}
    assert mebibytes(1).sum().item() == 0


def test_an_upload_whose_call_is_refused_is_not_kept() -> None:
    uploads = Uploads()
    uploads.begin(1)
    uploads.finish(1, np.zeros(4, np.float32))
    uploads.drop(1)
    uploads.begin(2)
    uploads.drop(2)
    uploads.finish(2, np.zeros(4, np.float32))
    assert uploads.ready_bytes == 0
    uploads.begin(3)
    uploads.finish(3, np.ones(4, np.float32))
    assert uploads.take(3, Meta.of((4,), float32)).sum() == 4


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GiB", 4 << 30), ("500MB", 500_000_000), ("1.5k", 1500), ("7", 7), ("0", 0), ("2 MiB", 2 << 20)],
)
def test_sizes_are_read_with_units(text: str, size: int) -> None:
    assert parse_bytes(text) == size


def test_flags_make_quotas() -> None:
    assert parse(["--max-session-bytes", "4GiB", "--max-tenant-sessions", "3"]).quotas == Quotas(4 << 30, 0, 0, 3)
    with pytest.raises(SystemExit):
        parse(["--max-session-bytes", "four"])


def test_available_memory_is_the_least_of_machine_and_group(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 900 kB\nMemAvailable: 600 kB\n")
    assert available_bytes(tmp_path) == 600 * 1024
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    for name, text in (("max", "500000\n"), ("current", "450000\n"), ("stat", "anon 5\ninactive_file 1000\n")):
        (group / f"memory.{name}").write_text(text)
    assert available_bytes(tmp_path) == 51_000
    (group / "memory.max").write_text("max\n")
    assert available_bytes(tmp_path) == 600 * 1024
