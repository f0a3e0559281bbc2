"""Benchmarks: `make bench`. Every figure is a ratio or a difference against a baseline measured in the same run."""
