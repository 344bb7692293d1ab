"""Programs on the worker: traced to kernel calls once, planned once, then run as a flat list."""
