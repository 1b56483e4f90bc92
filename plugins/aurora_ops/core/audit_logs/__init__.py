"""Audit logs: names, records, plans, and the chain that proves them; plain Python."""
