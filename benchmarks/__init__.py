"""Benchmarks: techniques side by side on real servers."""
