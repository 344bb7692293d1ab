"""Groups, their epochs, and the store of an epoch."""

from __future__ import annotations

from itertools import count

import pytest

from gradwire_pool.records import Member
from gradwire_pool.rendezvous import MAX_LEASE_GROUPS, MAX_VALUE_BYTES, Groups
from gradwire_protocol.errors import GroupBroken, LimitExceeded

MEMBERS = (Member("worker-0", 7), Member("worker-1", 8))


@pytest.fixture
def groups() -> Groups:
    epochs, secrets = count(100), count()
    return Groups(lambda: next(epochs), lambda: f"secret-{next(secrets)}")


def test_members_of_an_epoch_share_values_and_counters(groups: Groups) -> None:
    group = groups.create("g", MEMBERS, "lease")
    entered = groups.entered("g", group.epoch, group.secret)
    groups.put(entered, "id", b"abc")
    assert groups.entered("g", group.epoch, group.secret).values == {"id": b"abc"}
    assert [groups.add(entered, "n", amount) for amount in (1, 4)] == [1, 5]
    with pytest.raises(ValueError, match="add needs a counter; key 'id'"):
        groups.add(entered, "id", 1)


def test_a_new_epoch_shuts_out_the_old_one_and_starts_empty(groups: Groups) -> None:
    old = groups.create("g", MEMBERS, "lease")
    groups.put(old, "id", b"abc")
    new = groups.create("g", MEMBERS, "lease")
    assert new.epoch > old.epoch
    assert new.values == {}
    with pytest.raises(GroupBroken, match=f"epoch {old.epoch} of group 'g' is over, or never was; form the group anew"):
        groups.entered("g", old.epoch, old.secret)
    groups.abort(old, "late")
    assert groups.entered("g", new.epoch, new.secret) is new, "a late abort of the old epoch does not touch the new one"


def test_the_secret_is_needed_not_only_the_epoch(groups: Groups) -> None:
    group = groups.create("g", MEMBERS, "lease")
    with pytest.raises(GroupBroken):
        groups.entered("g", group.epoch, "guessed")
    with pytest.raises(GroupBroken):
        groups.entered("h", group.epoch, group.secret)
    with pytest.raises(GroupBroken):
        groups.entered("g", group.epoch + 1, group.secret)


def test_a_name_is_its_leases_own_and_goes_with_it(groups: Groups) -> None:
    mine, yours = groups.create("g", MEMBERS, "mine"), groups.create("g", MEMBERS, "yours")
    assert groups.entered("g", mine.epoch, mine.secret) is mine
    groups.check(lambda member: True, {"yours"})
    with pytest.raises(GroupBroken):
        groups.entered("g", mine.epoch, mine.secret)
    for n in range(MAX_LEASE_GROUPS - 1):
        groups.create(str(n), MEMBERS, "yours")
    assert groups.create("g", MEMBERS, "yours").epoch > yours.epoch
    with pytest.raises(LimitExceeded, match="a lease may have 64 groups"):
        groups.create("more", MEMBERS, "yours")


def test_a_lost_member_breaks_its_groups_and_no_others(groups: Groups) -> None:
    both, alone = groups.create("both", MEMBERS, "lease"), groups.create("alone", MEMBERS[:1], "lease")
    groups.check(lambda member: True, {"lease"})
    assert groups.entered("both", both.epoch, both.secret) is both
    groups.check(lambda member: member.worker != "worker-1", {"lease"})
    with pytest.raises(GroupBroken, match=r"worker-1 \(incarnation 8\) was lost; form the group anew"):
        groups.entered("both", both.epoch, both.secret)
    assert groups.entered("alone", alone.epoch, alone.secret) is alone


def test_the_store_is_bounded_and_members_differ(groups: Groups) -> None:
    group = groups.create("g", MEMBERS, "lease")
    with pytest.raises(LimitExceeded, match="send tensors from worker to worker"):
        groups.put(group, "big", bytes(MAX_VALUE_BYTES + 1))
    for n in range(64):
        groups.put(group, str(n), bytes(MAX_VALUE_BYTES))
    groups.put(group, "0", b"shorter")
    with pytest.raises(LimitExceeded):
        groups.put(group, "more", bytes(MAX_VALUE_BYTES))
    with pytest.raises(ValueError, match="members that differ"):
        groups.create("g", MEMBERS[:1] * 2, "lease")
