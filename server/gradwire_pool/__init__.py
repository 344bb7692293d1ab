"""A pool of workers on Ray: places them, restarts them, lends them to clients. Tensors and calls never pass through here."""
