"""Exports of snapshots."""
