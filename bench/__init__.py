"""Benchmarks: what the suite costs beside its peers, both in the same run. `make bench` runs them all."""
