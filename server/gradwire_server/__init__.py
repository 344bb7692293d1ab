"""The worker: tensors and autograd graphs, keyed by handle. `python -m gradwire_server` runs one."""
