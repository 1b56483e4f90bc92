"""Aurora operations on Apache Airflow: the package behind the DAG files in ``dags/``."""

__version__ = "0.1.0"
