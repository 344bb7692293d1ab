"""Replays what fuzzing starts from and what it found, and shows that the harness sees what it is there to see. Needs no atheris."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from gradwire_protocol import limits
from gradwire_protocol.v1 import call_pb2
from gradwire_server.control import CONTROLS
from tests.fuzz import cases, mutation, seeds
from tests.fuzz.harness import Finding, Harness
from tests.fuzz.repair import repair

REGRESSIONS = sorted((Path(__file__).parent / "regressions").iterdir())
CHANGED = int(os.environ.get("GRADWIRE_FUZZ_INPUTS", "200"))


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    monkeypatch.setattr(limits, "PEER_SECONDS", limits.PEER_SECONDS)  # which the harness sets, put back after the test
    return Harness()


@pytest.fixture(scope="module")
def corpus() -> dict[str, bytes]:
    return {name: seeds.recorded(name) for name in seeds.SEEDS}


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.name)
def test_what_was_found_once_is_refused_now(path: Path, harness: Harness) -> None:
    assert harness.run(path.read_bytes())


def test_recorded_scripts_run_as_recorded(corpus: dict[str, bytes], harness: Harness) -> None:
    for data in corpus.values():
        assert harness.run(data)
    assert harness.applied == harness.batches > 50
    assert harness.failed == 0


def test_changed_scripts_find_nothing_and_are_deep(corpus: dict[str, bytes], harness: Harness) -> None:
    rng, pool = random.Random(20), list(corpus.values())
    for seed in range(CHANGED):
        data = mutation.mutated(rng.choice(pool), 1 << 14, seed)
        harness.run(mutation.crossed(data, rng.choice(pool), 1 << 14, seed) if seed % 5 == 0 else data)
    # Else most would end at the first check, and fuzzing would show little.
    assert harness.applied > harness.batches / 3
    assert 0 < harness.failed < harness.calls


def test_a_change_is_known_by_its_seed(corpus: dict[str, bytes]) -> None:
    data = corpus["perceptron"]
    assert mutation.mutated(data, 1 << 14, 7) == mutation.mutated(data, 1 << 14, 7)
    assert len({mutation.mutated(data, 1 << 14, seed) for seed in range(20)}) > 15
    assert len(mutation.mutated(data, 100, 3)) <= 100


def test_mending_leaves_a_recorded_script_as_it_is(corpus: dict[str, bytes], harness: Harness) -> None:
    for name, data in corpus.items():
        batches = list(cases.decode(data))
        repair(random.Random(0), batches)
        harness.run(cases.encode(batches))
        assert harness.failed == 0, name
    assert harness.applied == harness.batches


def test_bytes_that_are_no_batch_are_left_out() -> None:
    batch = call_pb2.Batch(number=3)
    assert list(cases.decode(cases.encode([batch]) + b"\3\0\0\0\xff\xff\xff" + cases.encode([batch]) + b"\1")) == [
        batch,
        batch,
    ]


# ---------------------------------------------------------------- the harness sees
def test_a_call_that_raises_what_is_not_declared_is_found(
    corpus: dict[str, bytes], harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> object:
        return {}["missing"]

    monkeypatch.setitem(CONTROLS, "gw::fetch", broken)
    with pytest.raises(Finding, match="must fail by a declared error; gw::fetch"):
        harness.run(corpus["numbers"])


def test_a_change_of_the_canary_is_found(corpus: dict[str, bytes], harness: Harness) -> None:
    data = corpus["numbers"]
    harness.run(data)
    entry = harness.canary.store.entries[1]
    entry.data[0, 0] += np.float32(1)  # type: ignore[union-attr]
    with pytest.raises(Finding, match="another session"):
        harness.run(data)


def test_a_slow_batch_is_found(corpus: dict[str, bytes]) -> None:
    with pytest.raises(Finding, match="must not take"):
        Harness(seconds=0.0).run(corpus["numbers"])


def test_memory_is_watched(corpus: dict[str, bytes]) -> None:
    script = (
        "import sys; from tests.fuzz.harness import Harness, Finding\n"
        "import gradwire_server.control as control\n"
        "held, fetch = [], control.CONTROLS['gw::fetch']\n"
        "def greedy(*arguments):\n"
        "    held.append(bytearray(b'1') * (96 << 20)); return fetch(*arguments)\n"
        "harness = Harness(grown_bytes=64 << 20)\n"
        "data = sys.stdin.buffer.read()\n"
        "assert harness.run(data)\n"
        "control.CONTROLS['gw::fetch'] = greedy\n"
        "try: harness.run(data)\n"
        "except Finding as found: print(found)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=corpus["numbers"], capture_output=True, check=True, timeout=60
    )
    assert b"must not take" in done.stdout


# ---------------------------------------------------------------- led by coverage
PLANTED = """
import sys
from gradwire_server.store import Store

release = Store.release

def broken(self, released):
    if any(count > 1 << 30 for count in released[1::2]):
        raise KeyError("planted")
    release(self, released)

Store.release = broken
sys.argv = ["fuzz", "--seconds", "60", "--seed", "1"]
from tests.fuzz.fuzz_batches import main
main()
"""


def fuzzed(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=110
    )


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed: pip install 'gradwire[fuzz]'")
def test_fuzzing_finds_what_is_planted_and_keeps_the_input(tmp_path: Path, harness: Harness) -> None:
    done = fuzzed(PLANTED, tmp_path)
    assert done.returncode != 0 and "planted" in done.stderr + done.stdout
    (found,) = (tmp_path / "build/fuzz/crashes").iterdir()
    assert harness.run(found.read_bytes())  # and where nothing is planted, it is harmless


def test_without_atheris_fuzzing_says_that_it_is_skipped(tmp_path: Path) -> None:
    script = "import sys; sys.modules['atheris'] = None; sys.argv = ['fuzz']; from tests.fuzz.fuzz_batches import main; main()"
    done = fuzzed(script, tmp_path)
    assert done.returncode == 0 and done.stdout.startswith("fuzz: skipped."), done.stderr
