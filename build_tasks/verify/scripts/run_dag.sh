#!/usr/bin/env bash
# Write the DAG into the home and run it, which fails if the home is read-only.
set -e
mkdir -p "${AIRFLOW_HOME}/dags"
printf '%s' "${VERIFY_DAG}" > "${AIRFLOW_HOME}/dags/verify.py"
airflow db migrate
airflow dags test verify
