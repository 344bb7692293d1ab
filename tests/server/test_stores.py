"""Where tenants may put checkpoints: pure but for fsspec's store in memory."""

from __future__ import annotations

import pytest

from gradwire_protocol.errors import AccessDenied, CheckpointError

pytest.importorskip("fsspec", reason="workers reach URLs by gradwire[urls]")

from gradwire_server.stores import Places, Store


def test_a_tenant_has_its_own_place() -> None:
    places = Places(["memory://runs/{tenant}", "memory://shared/"])
    assert isinstance(places.store("memory://runs/vision/a/b-1.ckpt", "vision"), Store)
    assert isinstance(places.store("memory://shared/a", "vision"), Store)
    for url, tenant in (
        ("memory://runs/vision/a", "speech"), ("memory://runs/{tenant}/a", "vision"), ("memory://runs//a", ""),
        ("memory://runs/../a", ".."), ("memory://runs/./a", "."), ("memory://runs/vision", "vision"), ("memory://a", ""),
        ("memory://shared/a/../b", "vision"), ("memory://shared/a\u2024\u2024/b", "vision"), ("memory://shared/a b", "x"),
    ):  # fmt: skip
        with pytest.raises(AccessDenied, match="--checkpoint-urls"):
            places.store(url, tenant)


@pytest.mark.parametrize("shard", ["", "x", "../" + "0" * 16 + ".00000", "0" * 16 + ".0000", "0" * 15 + "G.00000"])
def test_a_shard_has_a_name_of_one_form(shard: str) -> None:
    with pytest.raises(CheckpointError, match="a shard is named by 16 hexadecimal digits"):
        Places(["memory://runs"]).store("memory://runs/a", "").write_shard(shard, [], 0)


def test_bytes_that_are_missing_in_the_end_are_noticed() -> None:
    store = Places(["memory://runs"]).store("memory://runs/a", "")
    with pytest.raises(CheckpointError, match="needs 4 bytes; its store has 3 of them"):
        store.write_shard("0" * 16 + ".00000", [memoryview(b"abc")], 4)


@pytest.mark.parametrize("prefix", ["/var/runs", "", "runs", "simplecache::s3://a"])
def test_a_prefix_is_a_url(prefix: str) -> None:
    with pytest.raises(ValueError, match="--checkpoint-urls needs a URL"):
        Places([prefix])
