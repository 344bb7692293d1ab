"""Kernels and gradients of `gradwire_protocol.ops.matmul`."""

from __future__ import annotations
