"""The image works for its user and for any other user in group 0."""

from __future__ import annotations

import pytest

from build_tasks.buildx.containers import Containers
from build_tasks.model.matrix import ImageKind
from build_tasks.verify.inventory import File
from build_tasks.verify.plugin import CONTRACT, PROD, expect, script
from build_tasks.verify.target import Target

_UID = 50000


@CONTRACT
def test_the_user_is_50000_in_group_0(target: Target) -> None:
    user = str(target.image.config.get("User"))
    expect(user in {"50000", "50000:0", "airflow"}, f"the image's user is {user!r}, not 50000")


@CONTRACT
@pytest.mark.parametrize("uid", ["50000", "12345", "0"])
def test_a_user_of_group_0_can_work(containers: Containers, uid: str) -> None:
    completed = containers.run("bash", "-c", script("work"), options=("--user", f"{uid}:0"))
    ids = completed.stdout.split()[:2]
    expect(
        not completed.returncode and ids == [uid, "0"],
        f"as {uid}:0: {completed.stdout.strip()} {completed.stderr.strip()[-500:]}",
    )


@PROD
@CONTRACT
def test_its_user_may_be_in_another_group(target: Target, containers: Containers) -> None:
    uid = target.image.label("uid") or str(_UID)
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
    # The sources of a CI image keep the modes that they have in the context.
    exempt = ("opt/airflow/",) if target.build.kind is ImageKind.CI else ()
    wrong = [
        f"/{file.path}"
        for file in files
        if file.uid == _UID
        and (file.gid or (file.mode >> 6 & 7) != (file.mode >> 3 & 7))
        and not file.path.startswith(("home/airflow/.", *exempt))
        and "/cache" not in f"/{file.path}"
    ]
    expect(not wrong, f"{len(wrong)} files are the user's and not group 0's: {wrong[:3]}")
