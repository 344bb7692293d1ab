"""Run `op_db` entries and say what fails.

python -m tests.opdb conv2d nn.functional.pad       entries whose name matches one of the regular expressions
python -m tests.opdb --limit 5                      all, five samples per stage and dtype
python -m tests.opdb --json results.json            keep the reports
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import asdict
from pathlib import Path

warnings.simplefilter("ignore")

from torch.testing._internal.common_methods_invocations import op_db  # noqa: E402

from tests.opdb import check  # noqa: E402


def main() -> int:
    """Print a line per entry and the reasons of failures; return 1 if any failed, or the page could not be written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="regular expressions, each matched against a whole name")
    parser.add_argument("--limit", type=int, help="samples per stage and dtype")
    parser.add_argument("--part", default="0/1", help="i/n: every n-th entry, from the i-th")
    parser.add_argument("--json", type=Path, help="where to write the reports")
    parser.add_argument(
        "--write", action="store_true", help="run everything in processes of their own, and write the page"
    )
    arguments = parser.parse_args()
    return write_page(arguments.limit) if arguments.write else run_chosen(arguments)


# Small parts, each a process of its own: one that dies, of a crash or of memory, takes few entries with it.
_PARTS = 24


def write_page(limit: int | None) -> int:
    """Run all entries, two processes at a time, and write the table of coverage; return 1 if a process failed."""
    from tests.opdb import coverage

    with tempfile.TemporaryDirectory() as folder:
        waiting = [(part, Path(folder) / f"{part}.json") for part in range(_PARTS)]
        running: list[subprocess.Popen[bytes]] = []
        paths = [path for _, path in waiting]
        while waiting or running:
            while waiting and len(running) < 2:
                part, path = waiting.pop(0)
                command = [sys.executable, "-m", "tests.opdb", "--part", f"{part}/{_PARTS}", "--json", str(path)]
                running.append(subprocess.Popen(command + ([] if limit is None else ["--limit", str(limit)])))
            running[0].wait()
            running.pop(0)
        reports = [report for path in paths if path.exists() for report in json.loads(path.read_text())]
    coverage.write(reports, limit)
    print(f"{len(reports)} of {len(op_db)} entries ran; see {coverage.PAGE.name}")
    return int(len(reports) != len(op_db))


def run_chosen(arguments: argparse.Namespace) -> int:
    """Run the chosen entries in this process."""
    part, parts = map(int, arguments.part.split("/"))
    patterns = [re.compile(name) for name in arguments.names]
    chosen = [
        op for op in op_db
        if not patterns or any(p.fullmatch(op.name) or p.fullmatch(check.full_name(op)) for p in patterns)
    ][part::parts]  # fmt: skip
    reports = []
    for op in chosen:
        began = time.monotonic()
        report = check.run(op, arguments.limit)
        reports.append(report)
        print(f"{'ok  ' if report.ok else 'FAIL'} {report.name} ({time.monotonic() - began:.1f} s)", flush=True)
        for stage, reason in report.failed.items():
            print(f"       {stage}: {reason}", flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps([asdict(report) for report in reports], indent=1))
    print(f"{sum(report.ok for report in reports)} of {len(reports)} entries pass")
    return int(any(not report.ok for report in reports))


if __name__ == "__main__":
    sys.exit(main())
