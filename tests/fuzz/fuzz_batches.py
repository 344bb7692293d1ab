"""Coverage-guided fuzzing of decode, validate and execute: `make fuzz`, or `python -m tests.fuzz.fuzz_batches --seconds 60`.

Needs atheris (`pip install 'gradwire[fuzz]'`). What it finds is written to build/fuzz and says how to run it again.
"""

from __future__ import annotations

import argparse
import logging
import platform
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import Any

CORPUS = Path("build/fuzz")
_MOST_BYTES = 6144
_SECONDS_AN_INPUT = 10
_MOST_MEBIBYTES = 3000


def main() -> None:
    """Fuzz for some seconds; end with another status than 0 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.fuzz_batches")
    parser.add_argument("--seconds", type=int, default=60, help="how long")
    parser.add_argument("--seed", type=int, default=0, help="0 takes the time")
    options = parser.parse_args()
    try:
        import atheris
    except ImportError:
        print(
            f"fuzz: skipped. atheris has wheels for Python 3.11 to 3.14 on Linux x86-64, or is not installed; this is Python "
            f"{platform.python_version()} on {platform.system()} {platform.machine()}; pip install 'gradwire[fuzz]' there"
        )
        return
    run(atheris, options.seconds, options.seed)


def run(atheris: Any, seconds: int, seed: int) -> None:
    """Fuzz: never returns, since libFuzzer ends the process."""
    with atheris.instrument_imports(include=["gradwire_protocol", "gradwire_server"]):
        from tests.fuzz.harness import Harness
    from tests.fuzz import mutation
    from tests.fuzz.seeds import write_seeds

    # A worker's own log would bury the finding that it belongs to; a warning is a finding.
    logging.getLogger("gradwire").setLevel(logging.CRITICAL)
    warnings.simplefilter("error")
    seeds = CORPUS / "seeds"
    count = write_seeds(seeds)
    harness = Harness(_SECONDS_AN_INPUT)
    reporter = _Reporter(harness, count, seconds)

    def test_one_input(data: bytes) -> int:
        reporter.tell_at_the_end()
        return 0 if harness.run(data) else -1

    def mutate(data: bytes, most_bytes: int, seed: int) -> bytes:
        # Now and then as bytes: what decodes protobuf, and what is no protobuf, must hold too.
        return atheris.Mutate(data, most_bytes) if seed % 16 == 0 else mutation.mutated(data, most_bytes, seed)  # type: ignore[no-any-return]

    arguments = [
        sys.argv[0], str(_folder("found")), str(seeds), f"-max_total_time={seconds}", f"-max_len={_MOST_BYTES}",
        f"-timeout={3 * _SECONDS_AN_INPUT}", f"-rss_limit_mb={_MOST_MEBIBYTES}", f"-artifact_prefix={_folder('crashes')}/",
        "-len_control=0", "-verbosity=1", f"-seed={seed or int(time.time()) % (1 << 31)}",
    ]  # fmt: skip
    atheris.Setup(arguments, test_one_input, custom_mutator=mutate, custom_crossover=mutation.crossed)
    atheris.Fuzz()


def _folder(name: str) -> Path:
    path = CORPUS / name
    path.mkdir(parents=True, exist_ok=True)
    return path


class _Reporter:
    """Says once, shortly before libFuzzer ends the process, what was done: how many got through says how deep it went."""

    def __init__(self, harness: Any, seeds: int, seconds: int) -> None:
        self._harness, self._seeds = harness, seeds
        self._began, self._seconds, self._is_told = time.monotonic(), seconds, False

    def tell_at_the_end(self) -> None:
        """Print the sums when a second is left."""
        passed = time.monotonic() - self._began
        if self._is_told or passed < self._seconds - 1:
            return
        self._is_told, h = True, self._harness
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        print(
            f"fuzz: {passed:.0f} s, {h.inputs} inputs from {self._seeds} seeds, {h.batches} batches, of which {h.applied} applied; "
            f"{h.calls} calls, of which {h.failed} failed; at most {memory} MiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
