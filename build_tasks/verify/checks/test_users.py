"""The image works for its user and for any other user in group 0."""

from __future__ import annotations

import pytest

from build_tasks.buildx.containers import Containers
from build_tasks.model.matrix import ImageKind
from build_tasks.verify.inventory import File
from build_tasks.verify.plugin import CONTRACT, PROD, expect, expect_success, script
from build_tasks.verify.target import Target


@CONTRACT
def test_the_user_is_airflow_in_group_0(target: Target) -> None:
    user, uid = str(target.image.config.get("User")), target.image.uid
    expect(user in {uid, f"{uid}:0", "airflow"}, f"the image's user is {user!r}, not {uid}")


@CONTRACT
@pytest.mark.parametrize("user", ["airflow", "12345", "0"])
def test_a_user_of_group_0_can_work(target: Target, containers: Containers, user: str) -> None:
    uid = target.image.uid if user == "airflow" else user
    completed = containers.run("bash", "-c", script("work"), options=("--user", f"{uid}:0"))
    ids = completed.stdout.split()[:2]
    expect(
        not completed.returncode and ids == [uid, "0"],
        f"as {uid}:0: {completed.stdout.strip()} {completed.stderr.strip()[-500:]}",
    )


@PROD
@CONTRACT
def test_pip_installs_as_the_user_and_refuses_root(containers: Containers) -> None:
    expect_success(containers.run("bash", "-c", "pip --version"), "pip as the user airflow")
    completed = containers.run("bash", "-c", "pip install pip", options=("--user", "0:0"))
    refused = completed.returncode and "pip as root" in completed.stdout + completed.stderr
    expect(refused, f"pip as root: {completed.stdout.strip()} {completed.stderr.strip()[-500:]}")


@PROD
@CONTRACT
def test_the_constraints_are_in_the_home(containers: Containers) -> None:
    command = "grep --quiet -E '^[A-Za-z0-9._-]+==' ~/constraints.txt"
    expect_success(containers.run("bash", "-c", command), "~/constraints.txt has no pinned version")


@PROD
@CONTRACT
def test_its_user_may_be_in_another_group(target: Target, containers: Containers) -> None:
    uid = target.image.uid
    completed = containers.run("bash", "-c", "id -g", options=("--user", f"{uid}:12345"))
    warned = completed.stdout.strip() == "12345" and "WARNING" in completed.stderr
    expect(warned, f"as {uid}:12345: {completed.stdout.strip()} {completed.stderr.strip()[-500:]}")


@PROD
def test_another_group_is_refused(containers: Containers) -> None:
    completed = containers.run("bash", "-c", "true", options=("--user", "12345:12345"))
    expect(
        completed.returncode, "a user that is not in group 0 was let in, and could write nothing"
    )


def test_group_0_may_what_the_user_may(target: Target, files: list[File]) -> None:
    if target.own or target.other_dockerfile:
        pytest.skip("the files that the project adds have the modes that it gives them")
    # The sources of a CI image keep the modes that they have in the context.
    exempt = ("opt/airflow/",) if target.build.kind is ImageKind.CI else ()
    variables = dict(item.split("=", 1) for item in target.image.config.get("Env") or [])
    home = variables.get("HOME", "/home/airflow").lstrip("/")
    wrong = [
        f"/{file.path}"
        for file in files
        if str(file.uid) == target.image.uid
        and (file.gid or (file.mode >> 6 & 7) != (file.mode >> 3 & 7))
        and not file.path.startswith((f"{home}/.", *exempt))
        and "/cache" not in f"/{file.path}"
    ]
    expect(not wrong, f"{len(wrong)} files are the user's and not group 0's: {wrong[:3]}")
