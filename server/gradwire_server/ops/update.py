"""Kernels and gradients of `gradwire_protocol.ops.update`."""

from __future__ import annotations
