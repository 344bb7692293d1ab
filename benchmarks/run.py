"""Run rows of the benchmark against worker processes on TCP loopback, and print what they reached.

python benchmarks/run.py               all rows
python benchmarks/run.py W1 E1         some
python benchmarks/run.py --write       and append to benchmarks/RESULTS.md, and update the table in benchmarks/README.md
python benchmarks/run.py --largest 1000000 E1 G1    longer growth curves
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(_ROOT))

# One compute thread for every contestant, and numpy's own choice of BLAS kernel; before numpy is imported.
for _name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "GRADWIRE_ADDRESS"):
    os.environ.pop(_name, None)
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
# For the processes that rows start.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*")
    parser.add_argument("--write", action="store_true", help="keep the results in RESULTS.md and README.md")
    parser.add_argument(
        "--largest", type=int, default=10**5, help="the most ops in a growth curve; 100000 unless given"
    )
    given = parser.parse_args()
    from benchmarks.record import Settings
    from benchmarks.report import append_results, head, summary, update_readme
    from benchmarks.rows import ROWS
    from benchmarks.worker import Worker

    unknown = set(given.rows) - set(ROWS)
    if unknown:
        parser.error(f"rows are {', '.join(ROWS)}; got {', '.join(sorted(unknown))}")
    start = head(shlex.join(("python", "benchmarks/run.py", *sys.argv[1:])))
    print(start, flush=True)
    records, sections = {}, []
    for name in given.rows or ROWS:
        with Worker() as worker:
            records[name] = ROWS[name].run(Settings(worker, given.largest))
        sections.append(ROWS[name].markdown(name, records[name]))
        print(sections[-1], flush=True)
    shown = summary(ROWS, records)
    print(shown)
    if given.write:
        append_results("\n".join((start, shown, *sections)))
        update_readme(ROWS, records)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
