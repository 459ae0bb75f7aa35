"""The entrypoint of the PROD image, as its Dockerfile has it, with a stand-in for Airflow.

It runs on this machine, in its own mount namespace: as any user, with a passwd file of its own.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from image_scripts import script

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run it as other users")

FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
SIMPLE = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
START = """
mount --bind "$1" /mnt
mount --bind /mnt/passwd /etc/passwd
exec setpriv --reuid "$2" --regid "$3" --clear-groups /bin/bash /mnt/entrypoint "${@:4}"
"""
USERS = "root:x:0:0:root:/root:/bin/bash\nairflow:x:50000:0::/home/airflow:/bin/bash\n"
PASSWORD = {"_AIRFLOW_WWW_USER_PASSWORD": "pass word"}
#: It writes down how it was called, and answers from variables of its tests.
AIRFLOW = """#!/bin/bash
echo "airflow $*" >> /mnt/log
case "$1 $2 $3 $4" in
'db check'*) exec test -z "${DATABASE_DOWN:-}" ;;
'config get-value core executor') echo "${EXECUTOR:-LocalExecutor}" ;;
'config get-value core auth_manager') echo 'a warning'; echo "${MANAGER}" ;;
'config get-value celery broker_url') echo "${BROKER}" ;;
'config get-value kerberos kinit_path') echo "${KINIT}" ;;
esac
"""
MAIN = """
import os, pathlib, sys

def main():
    shown = pathlib.Path("/proc/self/cmdline").read_text().replace(chr(0), " ")
    with open("/mnt/log", "a") as log:
        print(*sys.argv, file=log)
        print("password in arguments:", sys.argv[-1] in shown, file=log)
    statuses = os.environ.get("USERS_CREATE", "0").split()
    count = pathlib.Path("/mnt/log").read_text().count("users create")
    return int(statuses[min(count, len(statuses)) - 1])
"""
PIP = """
import sys
with open("/mnt/log", "a") as log:
    print("pip", *sys.argv[1:], file=log)
sys.exit("no such package" if "nonesuch" in sys.argv else 0)
"""


@dataclass
class Done:
    status: int
    out: str
    err: str
    log: list[str]


@dataclass
class Image:
    """A folder that stands for the image."""

    root: Path

    def run(self, *command: str, user: str = "50000:0", **environment: str) -> Done:
        (self.root / "log").write_text("")
        (self.root / "log").chmod(0o666)
        variables = {
            "PATH": "/mnt/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "PYTHONPATH": "/mnt/lib",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": "/home/airflow",
            "AIRFLOW_HOME": "/mnt/home",
            "AIRFLOW_USER_HOME_DIR": "/home/airflow",
            "AIRFLOW_VERSION": "3.3.2",
            "CONNECTION_CHECK_SLEEP_TIME": "0",
            "MANAGER": SIMPLE,
            **environment,
        }
        words = ("unshare", "--mount", "/bin/bash", "-ec", START, "start", str(self.root))
        done = subprocess.run(
            [*words, *user.split(":"), *command],
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        log = (self.root / "log").read_text().splitlines()
        return Done(done.returncode, done.stdout, done.stderr, log)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    for folder in ("bin", "home", "lib/airflow", "lib/pip"):
        (tmp_path / folder).mkdir(parents=True)
    texts = {
        "entrypoint": script("/entrypoint"),
        "passwd": USERS,
        "bin/airflow": AIRFLOW,
        "lib/airflow/__init__.py": "",
        "lib/airflow/__main__.py": MAIN,
        "lib/pip/__init__.py": "",
        "lib/pip/__main__.py": PIP,
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "bin" / "airflow").chmod(0o755)
    (tmp_path / "bin" / "python").symlink_to("/usr/bin/python3")
    (tmp_path / "passwd").chmod(0o664)
    tmp_path.chmod(0o755)
    return Image(tmp_path)


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("command", "ran"),
    [
        (("version",), "airflow version"),
        (("airflow", "version"), "airflow version"),
        ((), "airflow "),
        (("airflow",), "airflow "),
    ],
)
def test_everything_else_is_a_command_of_airflow(
    image: Image, command: tuple[str, ...], ran: str
) -> None:
    done = image.run(*command)
    assert (done.status, done.log, done.err) == (0, [ran], "")


def test_bash_and_python_run_instead_of_airflow(image: Image) -> None:
    done = image.run("bash", "-c", "umask; touch /mnt/home/file; exit 23", user="0:0")
    assert (done.status, done.out, done.log) == (23, "0002\n", [])
    assert image.run("python", "-c", "print('a b')").out == "a b\n"


def test_the_user_of_the_image_is_warned_of_another_group_and_goes_on(image: Image) -> None:
    done = image.run("version", user="50000:1000")
    assert (done.status, done.log) == (0, ["airflow version"])
    assert done.err.startswith("entrypoint: WARNING: the group is 1000: run as 50000:0")


def test_any_other_user_of_another_group_is_refused(image: Image) -> None:
    done = image.run("version", user="12345:1000")
    assert (done.status, done.log) == (1, [])
    assert done.err == "entrypoint: the user must be in group 0, not 1000: run as 12345:0\n"


def test_a_user_without_a_name_gets_one(image: Image) -> None:
    done = image.run("bash", "-c", "whoami; id -g; echo ~", user="12345:0", USER_NAME="deploy")
    assert (done.out, done.err) == ("deploy\n0\n/home/airflow\n", "")
    assert (image.root / "passwd").read_text().splitlines()[2:] == [
        "deploy:x:12345:0:deploy user:/home/airflow:/sbin/nologin"
    ]
    image.run("version", user="12345:0")
    assert (image.root / "passwd").read_text().count("12345") == 1


def test_where_passwd_is_read_only_the_user_stays_without_a_name(image: Image) -> None:
    (image.root / "passwd").chmod(0o644)
    assert image.run("bash", "-c", "id -u", user="12345:0").out == "12345\n"


@pytest.mark.parametrize(
    "environment",
    [
        {"AIRFLOW_CONFIG": "/cfg/airflow.cfg"},
        {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://a"},
        {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": "cat file"},
        {"AIRFLOW__CORE__SQL_ALCHEMY_CONN_SECRET": "name"},
    ],
)
def test_a_database_that_is_set_is_waited_for(image: Image, environment: dict[str, str]) -> None:
    done = image.run("version", **environment)
    assert (done.status, done.log) == (0, ["airflow db check", "airflow version"])
    environment = {**environment, "DATABASE_DOWN": "1", "CONNECTION_CHECK_MAX_COUNT": "2"}
    done = image.run("bash", "-c", "echo reached", **environment)
    assert (done.status, done.out, done.log) == (1, "", ["airflow db check"] * 2)
    assert done.err.splitlines() == [
        "entrypoint: no database yet, check 1 of 2",
        "entrypoint: no database yet, check 2 of 2",
        "",
        "entrypoint: no database after 2 checks",
    ]
    done = image.run("version", **{**environment, "CONNECTION_CHECK_MAX_COUNT": "0"})
    assert done.log == ["airflow version"]


def test_a_database_is_found_among_many_variables(image: Image) -> None:
    """Kubernetes sets several for each service; a pipe holds 64 KiB of their names."""
    many = {f"SERVICE_{number}_{'X' * 200}": "" for number in range(1000)}
    for name in ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__SQL_ALCHEMY_CONN_CMD"):
        done = image.run("version", **many, **{name: "x"})
        assert (done.status, done.log) == (0, ["airflow db check", "airflow version"])
    for name in ("MY_AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__SQL_ALCHEMY_CONN_OLD"):
        assert image.run("version", **many, **{name: "x"}).log == ["airflow version"]


def test_a_configuration_in_the_home_sets_a_database(image: Image) -> None:
    (image.root / "home" / "airflow.cfg").write_text("")
    assert image.run("version").log == ["airflow db check", "airflow version"]


@pytest.mark.parametrize(
    "executor",
    [
        "CeleryExecutor",
        "LocalExecutor,CeleryExecutor",
        "airflow.providers.celery.executors.celery_executor.CeleryExecutor",
        "queue:CeleryExecutor,LocalExecutor",
        "LocalExecutor;team=CeleryExecutor",
    ],
)
def test_celery_waits_for_its_broker(image: Image, port: int, executor: str) -> None:
    broker = f"redis://:secret@127.0.0.1:{port}/0"
    for command in (("celery", "worker"), ("airflow", "scheduler")):
        done = image.run(*command, EXECUTOR=executor, BROKER=broker)
        assert (done.status, done.err) == (0, "")
        assert done.log[-1] == f"airflow {' '.join(command).removeprefix('airflow ')}"
    down = {"EXECUTOR": executor, "BROKER": "redis://:secret@127.0.0.1:1/0"}
    done = image.run("celery", "worker", CONNECTION_CHECK_MAX_COUNT="1", **down)
    assert done.status == 1
    assert done.err.endswith("entrypoint: no broker after 1 checks\n")
    assert "secret" not in done.err + done.out
    assert image.run("triggerer", **down).log == ["airflow triggerer"]


def test_the_address_of_the_broker_is_no_argument_of_a_process(image: Image) -> None:
    python = image.root / "bin" / "python"
    python.unlink()
    python.write_text('#!/bin/bash\necho "python $*" >> /mnt/log\nexec /usr/bin/python3 "$@"\n')
    python.chmod(0o755)
    broker = "sqla+postgresql://me:secret@127.0.0.1:1/0"
    limit = {"CONNECTION_CHECK_MAX_COUNT": "1"}
    done = image.run("celery", "worker", EXECUTOR="CeleryExecutor", BROKER=broker, **limit)
    assert done.err.startswith("entrypoint: no broker yet, check 1 of 1\n127.0.0.1:1: ")
    assert [line.split()[0] for line in done.log] == ["airflow", "airflow", "python"]
    assert "secret" not in "".join(done.log)


def test_other_executors_have_no_broker(image: Image) -> None:
    done = image.run("scheduler", EXECUTOR="LocalExecutor,NoCeleryExecutor")
    assert done.log == ["airflow config get-value core executor", "airflow scheduler"]


def test_the_database_is_migrated_before_the_user_is_made(image: Image) -> None:
    variables = {"_AIRFLOW_DB_MIGRATE": "true", "_AIRFLOW_WWW_USER_CREATE": "true"}
    done = image.run("version", **variables, **PASSWORD, MANAGER=FAB)
    assert (done.status, done.err) == (0, "")
    assert done.log == [
        "airflow db migrate",
        "airflow users create --username admin --firstname Airflow --lastname Admin "
        "--email airflowadmin@example.com --role Admin --password pass word",
        "password in arguments: False",
        "airflow version",
    ]


def test_a_password_can_be_a_commands_and_is_no_longer_in_the_environment(image: Image) -> None:
    variables = {
        "_AIRFLOW_WWW_USER_CREATE": "1",
        "_AIRFLOW_WWW_USER_USERNAME": "ada",
        "_AIRFLOW_WWW_USER_PASSWORD_CMD": "echo from the command",
        "_AIRFLOW_WWW_USER_PASSWORD": "not this one",
    }
    done = image.run("bash", "-c", "env", **variables)
    assert "--username ada " in done.log[0]
    assert done.log[0].endswith(" --password from the command")
    assert "_AIRFLOW_WWW_USER_PASSWORD" not in done.out


@pytest.mark.parametrize(
    ("environment", "error"),
    [
        ({}, "needs _AIRFLOW_WWW_USER_PASSWORD or _AIRFLOW_WWW_USER_PASSWORD_CMD"),
        ({"_AIRFLOW_WWW_USER_PASSWORD_CMD": "exit 3"}, "_AIRFLOW_WWW_USER_PASSWORD_CMD failed"),
        (
            {**PASSWORD, "USERS_CREATE": "2"},
            f"_AIRFLOW_WWW_USER_CREATE: no user was made, and the auth manager is {SIMPLE}: leave "
            f"the variable out, or set AIRFLOW__CORE__AUTH_MANAGER={FAB}",
        ),
        (
            {**PASSWORD, "USERS_CREATE": "1"},
            f"_AIRFLOW_WWW_USER_CREATE: no user was made, and the auth manager is {SIMPLE}: ",
        ),
        (
            {**PASSWORD, "USERS_CREATE": "2", "MANAGER": FAB},
            f"_AIRFLOW_WWW_USER_CREATE: {FAB} is missing or broken: build an image with the extra "
            "fab",
        ),
        (
            {**PASSWORD, "USERS_CREATE": "1 1", "MANAGER": FAB},
            "_AIRFLOW_WWW_USER_CREATE: the user could not be made",
        ),
    ],
)
def test_a_user_that_cannot_be_made_is_an_error(
    image: Image, environment: dict[str, str], error: str
) -> None:
    done = image.run("version", _AIRFLOW_WWW_USER_CREATE="true", **environment)
    assert done.status == 1
    assert done.err.startswith("entrypoint: ")
    assert error in done.err
    assert "airflow version" not in done.log


def test_a_user_that_another_container_makes_at_the_same_time_is_no_error(image: Image) -> None:
    create = {"_AIRFLOW_WWW_USER_CREATE": "true", "USERS_CREATE": "1 0", "MANAGER": FAB}
    done = image.run("version", **create, **PASSWORD)
    assert (done.status, done.err) == (0, "")
    words = [line.split()[1] for line in done.log]
    assert words == ["users", "in", "config", "users", "in", "version"]


def test_additional_requirements_leave_airflow_as_it_is(image: Image) -> None:
    done = image.run("version", _PIP_ADDITIONAL_REQUIREMENTS="lxml==4.6.3 pandas<3")
    assert done.log == [
        "pip install --root-user-action ignore --no-cache-dir apache-airflow==3.3.2 "
        "lxml==4.6.3 pandas<3",
        "pip check",
        "airflow version",
    ]
    assert "WARNING: installing lxml==4.6.3 pandas<3 at every start" in done.err
    done = image.run("version", _PIP_ADDITIONAL_REQUIREMENTS="nonesuch")
    assert (done.status, len(done.log)) == (1, 1)


def test_kerberos_needs_kinit(image: Image) -> None:
    done = image.run("kerberos", KINIT="kinit-of-nobody")
    assert (done.status, done.log[1:]) == (1, [])
    assert done.err == (
        "entrypoint: kerberos needs the program kinit: add krb5-user to the image's Debian "
        "packages\n"
    )
    done = image.run("airflow", "kerberos", "-o", KINIT="/bin/true")
    assert (done.status, done.log[1:]) == (0, ["airflow kerberos -o"])
