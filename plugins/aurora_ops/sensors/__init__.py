"""Sensors: waiting for what others do."""
