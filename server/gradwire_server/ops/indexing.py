"""Kernels and gradients of `gradwire_protocol.ops.indexing`."""

from __future__ import annotations
