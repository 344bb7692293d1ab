"""Modules of PyTorch's that hold no tensors: compilers, exporters, its C++ parts.

Third-party packages name them when they are imported, and few scripts call them. What only marks or registers is accepted,
since nothing is compiled or exported; what would have to do something refuses, by name. Only `gradwire run` uses these.
"""
