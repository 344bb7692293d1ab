"""Benchmarks: `make bench`, or `make bench ROW=W1`. Results with date and machine are in RESULTS.md."""
