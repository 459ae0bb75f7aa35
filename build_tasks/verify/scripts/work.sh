#!/usr/bin/env bash
# Do what a user of the image has to be able to do.
set -e
id -u
id -g
whoami > /dev/null
touch "${AIRFLOW_HOME}/written" "${HOME}/written"
mkdir -p "${AIRFLOW_HOME}/dags" "${AIRFLOW_HOME}/logs/deep/er"
airflow version
