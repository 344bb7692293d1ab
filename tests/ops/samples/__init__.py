"""One sample record per op: each module here holds a family's, in its list `SAMPLES`."""

from __future__ import annotations

import importlib
import pkgutil

from tests.ops.samples.record import Case, Refusal, Sample

__all__ = ["SAMPLES", "Case", "Refusal", "Sample"]

SAMPLES: dict[str, Sample] = {}
for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    for _sample in getattr(importlib.import_module(_module.name), "SAMPLES", ()):
        if _sample.op in SAMPLES:
            raise ValueError(f"{_sample.op} has two sample records")
        SAMPLES[_sample.op] = _sample
