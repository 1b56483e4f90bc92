"""Capabilities of several steps: one function each, which a DAG of its own and the refresh both use."""
