"""Kernels and gradients of `gradwire_protocol.ops.shape`."""

from __future__ import annotations
