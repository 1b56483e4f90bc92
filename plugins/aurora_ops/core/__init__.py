"""Plain Python: no Airflow, no AWS. Settings, names, safety, errors, SQL scripts, plans."""
