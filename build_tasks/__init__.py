"""Build Apache Airflow's container images with BuildKit."""
