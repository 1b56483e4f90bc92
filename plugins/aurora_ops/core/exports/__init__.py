"""Exports of snapshots: their names, events, order and files. Plain Python."""
