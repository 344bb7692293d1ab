"""Whole training scripts: `gradwire run` follows PyTorch's loss curve, step by step, from the same initial weights."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.parity, pytest.mark.system, pytest.mark.slow]

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "pytorch"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "common")
_NUMBER = re.compile(r"-?\d+\.?\d*(?:e[-+]?\d+)?")
# Curvature pairs and step sizes of a quasi-Newton method turn last digits into first ones.
_LOOSE = {"time_sequence_prediction": 1e-2}


def curve(*command: str) -> list[tuple[str, list[float]]]:
    """Run a script and return its lines as words and numbers."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=FOLDER,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stdout.splitlines() if _NUMBER.search(line)]
    return [(_NUMBER.sub("#", line), [float(number) for number in _NUMBER.findall(line)]) for line in lines]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_runs_unchanged(script: str) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    theirs = curve(f"{script}.py")
    ours = curve("-m", "gradwire", "run", f"{script}.py")
    assert len(theirs) >= 8
    assert [words for words, _ in ours] == [words for words, _ in theirs]
    for (_, found), (_, wanted) in zip(ours, theirs, strict=True):
        assert found == pytest.approx(wanted, rel=_LOOSE.get(script, 1e-4), abs=1e-5)
