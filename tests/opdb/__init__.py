"""PyTorch's own operator samples (`op_db`), run against gradwire. `python -m tests.opdb --help`."""
