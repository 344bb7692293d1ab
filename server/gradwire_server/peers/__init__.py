"""What this worker and others ask of each other: tensors that go from one to the next, and places to meet."""
