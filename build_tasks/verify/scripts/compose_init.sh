#!/usr/bin/env bash
# Do what the service airflow-init of docker-compose.yaml does, as root, with a DAG beside.
set -e
mkdir --parents /opt/airflow/{logs,dags,plugins,config}
printf '%s' "${VERIFY_DAG}" > /opt/airflow/dags/verify.py
/entrypoint airflow version
/entrypoint airflow config list > /dev/null
chown --recursive 50000:0 /opt/airflow/{logs,dags,plugins,config}
