"""Exports of snapshots, as steps."""
