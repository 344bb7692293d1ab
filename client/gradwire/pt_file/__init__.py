"""PyTorch's `.pt` files: zip archives of storages and of a description of what holds them.

The description is a pickle, a program for a small machine. `interpreter` runs such programs over a fixed table of
builders, so nothing that a file names is ever imported or called; `program` writes them by hand.
"""

from gradwire.pt_file.reading import read_pt
from gradwire.pt_file.writing import PtWriter

__all__ = ["PtWriter", "read_pt"]
