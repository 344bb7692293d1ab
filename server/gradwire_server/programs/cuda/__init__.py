"""Fusions on a GPU: one generated kernel each. Not yet run on one; see `source`."""
