"""Operators: one task brings one resource to one goal, in passes that are safe to repeat."""
