"""Copies of a module on several workers: kept equal, fed with parts of a batch, their gradients averaged."""
