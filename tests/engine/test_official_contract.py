"""What users of the official image rely on, on the PROD image with Airflow itself."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from suite import Suite, last

from build_tasks.engine.state import EmbeddedEngine

BUILD = ("image.build", "--kind", "prod", "--python", "3.11")
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
SIMPLE = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
MIGRATED_USER = {
    "_AIRFLOW_DB_MIGRATE": "true",
    "_AIRFLOW_WWW_USER_CREATE": "true",
    "_AIRFLOW_WWW_USER_PASSWORD_CMD": "echo known only to the tests",
}


@dataclass(frozen=True)
class Image:
    """An image of the engine."""

    suite: Suite
    name: str
    options: tuple[str, ...] = ()

    def run(self, script: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        named = [word for item in variables.items() for word in ("--env", "=".join(item))]
        words = ("run", "--rm", *self.options, *options, *named, self.name, "bash", "-c", script)
        return subprocess.run(
            [*self.suite.docker, *words],
            env=dict(self.suite.tools),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def good(self, script: str, *options: str, **variables: str) -> str:
        done = self.run(script, *options, **variables)
        assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
        return done.stdout


@pytest.fixture(scope="module")
def image(suite: Suite, engine: EmbeddedEngine) -> Image:
    done = suite.nox("build_prod-3.11")
    assert done.returncode == 0, done.stderr[-3000:]
    repository = suite.environment["AIRFLOW_IMAGES_REPOSITORY"]
    name = f"{engine.registry}/{repository}/main/prod/python3.11:latest"
    # What the machine trusts, pip and uv in the container have to.
    bundle = engine.ca_bundle
    trust = ("PIP_CERT", "SSL_CERT_FILE") if bundle else ()
    options = [word for variable in trust for word in ("--env", f"{variable}=/ca.pem")]
    options += ["--volume", f"{bundle}:/ca.pem:ro"] if bundle else []
    return Image(suite, name, tuple(options))


def test_a_database_of_airflow_config_is_waited_for(image: Image, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "airflow.cfg").write_text(
        "[database]\nsql_alchemy_conn = postgresql+psycopg2://a:b@127.0.0.1:1/airflow\n"
    )
    done = image.run(
        "echo reached",
        *("--volume", f"{tmp_path}:/cfg:ro"),
        AIRFLOW_CONFIG="/cfg/airflow.cfg",
        CONNECTION_CHECK_MAX_COUNT="1",
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert last(done.stderr) == "entrypoint: no database after 1 checks"


def test_a_user_is_made_once_and_the_password_is_not_shown(image: Image) -> None:
    script = "/entrypoint airflow users list --output plain;" * 2
    again = {**MIGRATED_USER, "AIRFLOW__CORE__AUTH_MANAGER": FAB}
    words = " ".join(f"{name}='{value}'" for name, value in again.items())
    done = image.run(f"export {words}; {script}")
    assert done.returncode == 0, done.stderr[-2000:]
    rows = re.findall(r"^ *(\d+) +(\w+) +(\S+@\S+) ", done.stdout, re.MULTILINE)
    assert rows == [("1", "admin", "airflowadmin@example.com")] * 2
    assert "known only to the tests" not in done.stdout + done.stderr


def test_a_user_that_the_auth_manager_cannot_keep_is_an_error(image: Image) -> None:
    done = image.run("echo reached", **MIGRATED_USER)
    assert (done.returncode, "reached" in done.stdout) == (1, False)
    assert last(done.stderr) == (
        f"entrypoint: _AIRFLOW_WWW_USER_CREATE: no user was made, and the auth manager is "
        f"{SIMPLE}: leave the variable out, or set AIRFLOW__CORE__AUTH_MANAGER={FAB}"
    )


def test_a_role_that_there_is_not_is_an_error(image: Image) -> None:
    manager = {"AIRFLOW__CORE__AUTH_MANAGER": FAB, "_AIRFLOW_WWW_USER_ROLE": "Nobody"}
    done = image.run("echo reached", **MIGRATED_USER, **manager)
    assert (done.returncode, "reached" in done.stdout) == (1, False)
    assert "Nobody is not a valid role" in done.stdout + done.stderr
    assert last(done.stderr) == "entrypoint: _AIRFLOW_WWW_USER_CREATE: the user could not be made"


@pytest.mark.parametrize("user", ["50000:0", "0:0", "1000650000:0"])
def test_requirements_are_added_and_airflow_stays(image: Image, user: str) -> None:
    options = ("--user", user)
    added = image.run(
        "python -c 'import tinydb'; airflow version",
        *options,
        _PIP_ADDITIONAL_REQUIREMENTS="tinydb",
    )
    assert added.returncode == 0, added.stderr[-2000:]
    assert added.stdout.strip().endswith("3.3.2")
    refused = image.run(
        "echo reached",
        *options,
        _PIP_ADDITIONAL_REQUIREMENTS="apache-airflow<3.3",
    )
    assert refused.returncode == 1
    assert "reached" not in refused.stdout
    assert "conflict" in refused.stderr


def test_users_of_another_group(image: Image) -> None:
    done = image.run("id; touch $AIRFLOW_HOME/x", "--user", "50000:1000")
    assert (done.returncode, "uid=50000(airflow) gid=1000" in done.stdout) == (0, True)
    assert "WARNING: the group is 1000: run as 50000:0" in done.stderr
    done = image.run("id", "--user", "12345:1000")
    assert (done.returncode, done.stdout) == (1, "")


def test_pip_and_uv_change_packages_as_the_user_alone(image: Image) -> None:
    """Upgrade one, uninstall one, install one; with pip, and with uv."""
    said = image.good(
        "set -e; pip install --quiet 'tinydb<4.8'; pip install --quiet --upgrade tinydb;"
        "python -c 'import tinydb; assert not tinydb.__version__.startswith(\"4.7\")';"
        "pip uninstall --yes --quiet tinydb; ! pip show --quiet tinydb 2> /dev/null || exit 1;"
        "uv pip install --quiet tinydb; python -c 'import tinydb';"
        'pip install --quiet --constraint "$HOME/constraints.txt" apache-airflow==$AIRFLOW_VERSION;'
        "python -m venv --system-site-packages /tmp/own; . /tmp/own/bin/activate;"
        "pip install --quiet 'tinydb<4.8';"
        "python -c 'import airflow, tinydb; print(tinydb.__file__)'"
    )
    assert said.startswith("/tmp/own/lib")
    # ~/.local is a virtual environment in the official image, too (its create_prod_venv.sh).
    done = image.run("pip install --user tinydb")
    assert "Can not perform a '--user' install" in done.stderr
    done = image.run("pip install tinydb", "--user", "0:0")
    assert (done.returncode, done.stdout) == (1, "")
    assert last(done.stderr).startswith("You are running pip as root: ")
    root = ("--user", "0:0")
    script = "python -m venv /tmp/own; . /tmp/own/bin/activate; pip install --quiet tinydb"
    image.good(script, *root)


def test_sudo_finds_airflow(image: Image) -> None:
    """Airflow runs tasks with it as other users (run_as_user)."""
    script = "sudo --non-interactive --user airflow sh -c 'id -u; command -v airflow'"
    assert image.good(script, "--user", "0:0").split() == ["50000", "/opt/venv/bin/airflow"]


@pytest.mark.parametrize("user", ["50000:0", "1000650000:0"])
def test_the_log_groomer_keeps_each_limit(image: Image, user: str) -> None:
    """On a read-only root file system, as any user of group 0."""
    script = """
    cd /opt/airflow/logs
    put() { mkdir --parents "${1%/*}"; head --bytes "$3" /dev/zero > "$1"; touch --date "$2" "$1"; }
    put a/old.log '3 days ago' 10
    put b/large.log '2 hours ago' 600000
    put c/small.log '1 hour ago' 10
    put d/new.log '1 minute ago' 600000
    sleep() { kill $$; } # end with the first round
    export -f sleep
    timeout 300 bash /clean-logs > /dev/null || true
    find . -type f -printf '%f ' | tr ' ' '\\n' | sort | tr '\\n' ' '
    """
    folders = ("--tmpfs", "/opt/airflow/logs:mode=775,size=10m", "--tmpfs", "/tmp:mode=1777")
    options = ("--user", user, "--read-only", *folders)
    for variables, kept in (
        ({}, "large.log new.log old.log small.log"),
        ({"RETENTION_DAYS": "2"}, "large.log new.log small.log"),
        ({"RETENTION_DAYS": "0", "RETENTION_MINUTES": "90"}, "new.log small.log"),
        ({"MAX_SIZE_BYTES": "1000000"}, "new.log small.log"),
        ({"MAX_SIZE_PERCENT": "10"}, "new.log small.log"),
        ({"MAX_SIZE_PERCENT": "50"}, "large.log new.log old.log small.log"),
    ):
        named = {f"AIRFLOW__LOG_{name}": value for name, value in variables.items()}
        assert image.good(script, *options, **named).split() == kept.split(), variables


KERBEROS = """
cat > /etc/krb5.conf <<END
[libdefaults]
default_realm = TEST.LOCAL
dns_lookup_kdc = false
[realms]
TEST.LOCAL = {
    kdc = 127.0.0.1
}
END
kdb5_util create -s -r TEST.LOCAL -P master > /dev/null
kadmin.local -q 'addprinc -randkey airflow/here@TEST.LOCAL' > /dev/null
kadmin.local -q 'ktadd -k /tmp/airflow.keytab airflow/here@TEST.LOCAL' > /dev/null
chmod 644 /tmp/airflow.keytab
krb5kdc
setpriv --reuid 50000 --regid 0 --clear-groups /entrypoint kerberos --one-time
klist -c /tmp/ccache
"""


@pytest.mark.nightly
def test_kerberos_gets_a_ticket_from_a_server(suite: Suite) -> None:
    packages = ("--dependencies-apt-runtime", "krb5-kdc,krb5-admin-server,krb5-user")
    done = suite.good(*BUILD, *packages, "--tag", "kerberos")
    one = Image(suite, last(done.stderr).split()[2])
    said = one.good(
        KERBEROS,
        *("--user", "0:0"),
        _AIRFLOW_DB_MIGRATE="true",
        AIRFLOW__KERBEROS__PRINCIPAL="airflow/here@TEST.LOCAL",
        AIRFLOW__KERBEROS__KEYTAB="/tmp/airflow.keytab",
        AIRFLOW__KERBEROS__CCACHE="/tmp/ccache",
    )
    assert "Default principal: airflow/here@TEST.LOCAL" in said
    assert "krbtgt/TEST.LOCAL@TEST.LOCAL" in said
