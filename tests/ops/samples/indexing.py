"""Samples of the indexing family."""

from __future__ import annotations

from tests.ops.samples.record import Case, Refusal, Sample

SAMPLES: list[Sample] = []
