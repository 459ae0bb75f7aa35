"""The smallest DAG that shows that an image can parse and run one."""

from __future__ import annotations

from airflow.sdk import dag, task


@dag(schedule=None, tags=["smoke"])
def smoke() -> None:
    """Multiply a number."""

    @task
    def number() -> int:
        return 6

    @task
    def multiply(value: int) -> int:
        return value * 7

    multiply(number())


DAG = smoke()
