"""Exports of snapshots and clusters to S3: tasks with AWS's rules, and Parquet of the real data."""
