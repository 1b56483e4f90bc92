"""Aurora operations on Apache Airflow: the package behind the DAG files in ``dags/``."""
