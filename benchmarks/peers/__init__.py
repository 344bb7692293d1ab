"""Other frameworks' versions of a workload, run in a Python that has them. None is a dependency of ours."""
