"""Declarations of the update family."""

from __future__ import annotations
