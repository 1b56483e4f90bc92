"""Exports of snapshots: what their DAGs are composed of."""
