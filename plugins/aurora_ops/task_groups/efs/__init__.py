"""Capabilities on file systems that take several steps."""
