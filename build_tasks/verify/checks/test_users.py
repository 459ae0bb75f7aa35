"""The image's user, and any other in group 0, can work with it."""

from __future__ import annotations

import pytest

from build_tasks.model.matrix import ImageKind
from build_tasks.verify.container import Containers
from build_tasks.verify.inventory import File
from build_tasks.verify.plugin import PROD, expect
from build_tasks.verify.target import Target

_UID = 50000
_TRY = """
set -e
id -u; id -g; whoami > /dev/null
touch "${AIRFLOW_HOME}/written" "${HOME}/written"
mkdir -p "${AIRFLOW_HOME}/dags" "${AIRFLOW_HOME}/logs/deep/er"
airflow version
"""


def test_the_user_is_50000_in_group_0(target: Target) -> None:
    user = str(target.image.config.get("User"))
    expect(user in {"50000", "50000:0", "airflow"}, f"the image's user is {user!r}, not 50000")


@pytest.mark.parametrize("uid", ["50000", "12345", "0"])
def test_a_user_of_group_0_can_work(containers: Containers, uid: str) -> None:
    ended = containers.run("bash", "-c", _TRY, options=("--user", f"{uid}:0"))
    said = ended.stdout.split()
    expect(
        not ended.returncode and said[:2] == [uid, "0"],
        f"as {uid}:0: {ended.stdout.strip()} {ended.stderr.strip()[-500:]}",
    )


@PROD
def test_another_group_is_refused(containers: Containers) -> None:
    ended = containers.run("bash", "-c", "true", options=("--user", "12345:12345"))
    expect(ended.returncode, "a user that is not in group 0 was let in, and could write nothing")


def test_group_0_may_what_the_user_may(target: Target, files: list[File]) -> None:
    ours = [file for file in files if file.uid == _UID]
    if target.kind is ImageKind.CI:  # sources keep the modes that they have in the context
        ours = [file for file in ours if not file.path.startswith("opt/airflow/")]
    wrong = [
        f"/{file.path}" for file in ours if file.gid or (file.mode >> 6 & 7) != (file.mode >> 3 & 7)
    ]
    wrong = [
        path for path in wrong if not path.startswith("/home/airflow/.") and "/cache" not in path
    ]
    expect(not wrong, f"{len(wrong)} files are the user's and not group 0's: {wrong[:3]}")
