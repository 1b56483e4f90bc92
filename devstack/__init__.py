"""Installs, starts and stops everything on one machine: localcloud, PostgreSQL and Airflow; the demo and its report."""
