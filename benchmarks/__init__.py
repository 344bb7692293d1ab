"""Benchmarks: `make bench`, or `make bench ROW=eager`. Results with date and machine are in RESULTS.md."""
