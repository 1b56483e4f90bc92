"""Log files of database instances: real ones, written by the audit plugin of each server."""
