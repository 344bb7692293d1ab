"""The contract between client and worker: ops, shapes, dtypes, the autograd outline, the wire. Imports neither side."""
