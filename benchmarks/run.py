"""Run the benchmark's rows against a worker process on TCP, and print them as a table.

python benchmarks/run.py              all rows
python benchmarks/run.py eager mlp    some
python benchmarks/run.py --write      all rows, and replace benchmarks/RESULTS.md
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

# One compute thread for every contestant, and numpy's own choice of BLAS kernel; before numpy is imported.
for _name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(_name, None)
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"


def machine() -> str:
    """Return what the numbers were measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores ({model}), load {load:.1f} at the start, Python {platform.python_version()}"


def versions() -> str:
    """Return the versions of what takes part."""
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name)}" for name in ("grpcio", "numpy", "protobuf", "torch"))


def table(title: str, lines: list[tuple[str, str, str, str]]) -> str:
    """Return a Markdown table."""
    rows = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([f"## {title}", "", "| what | median | 10 to 90 % | against |", "|---|---|---|---|", *rows, ""])


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*")
    parser.add_argument("--write", action="store_true", help="replace benchmarks/RESULTS.md")
    given = parser.parse_args()
    from benchmarks.rows import ROWS

    unknown = set(given.rows) - set(ROWS)
    if unknown:
        parser.error(f"rows are {', '.join(ROWS)}; got {', '.join(sorted(unknown))}")
    command = "make bench" + (f" ROW={' '.join(given.rows)}" if given.rows else "")
    head = (
        f"# Benchmark results\n\n{datetime.date.today()}, `{command}`. {machine()}. {versions()}. One compute thread each; "
        "contestants take turns in one run; worker on TCP loopback. Times on a shared machine: trust the ratios.\n"
    )
    worker = subprocess.Popen(
        [sys.executable, "-m", "gradwire_server", "--listen", "127.0.0.1:0", "--until-stdin-closes"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert worker.stdout is not None
    assert worker.stdin is not None
    address = worker.stdout.readline().rsplit(" ", 1)[-1].strip()
    parts = [head]
    for name in given.rows or ROWS:
        parts.append(table(f"{name}: {(ROWS[name].__doc__ or '').splitlines()[0]}", ROWS[name](address)))
        print(parts[-1], flush=True)
    worker.stdin.close()
    worker.wait()
    if given.write:
        (HERE / "RESULTS.md").write_text("\n".join(parts))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
