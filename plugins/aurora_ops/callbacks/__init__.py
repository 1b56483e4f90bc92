"""What Airflow itself calls: when a run has ended, and when it is late."""
