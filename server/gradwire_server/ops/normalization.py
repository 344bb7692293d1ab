"""Kernels and gradients of `gradwire_protocol.ops.normalization`."""

from __future__ import annotations
