"""What docs/coverage.md claims, on the first samples of every entry; `make parity-full` runs them all."""

from __future__ import annotations

import warnings

import pytest

pytest.importorskip("torch")
pytest.importorskip("expecttest")

from tests.opdb import check, coverage

pytestmark = pytest.mark.parity

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_methods_invocations import op_db

ENTRIES = {check.full_name(op): op for op in op_db}


@pytest.mark.parametrize("name", coverage.claimed())
def test_an_entry_passes_as_the_page_says(name: str) -> None:
    report = check.run(ENTRIES[name], limit=2)
    assert report.failed == {}


def test_the_page_says_enough() -> None:
    assert len(coverage.claimed()) >= 600
