"""Kernels and gradients of `gradwire_protocol.ops.loss`."""

from __future__ import annotations
