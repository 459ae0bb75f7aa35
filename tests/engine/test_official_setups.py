"""What people do with the official image, done with ours: chart, compose file, extensions."""

from __future__ import annotations

import json
import shutil
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from suite import FEW_EXTRAS, Suite, last

from build_tasks.engine.state import EmbeddedEngine

PROD = ("--kind", "prod", "--python", "3.11", "--load")
#: Like a user that OpenShift chooses.
RANDOM = "1000650000:0"
#: The fifth number is the kernel's count of names that do not exist
#: (Documentation/admin-guide/sysctl/fs.rst).
DENTRIES = Path("/proc/sys/fs/dentry-state")
EXECS = 300


@dataclass(frozen=True)
class Image:
    suite: Suite
    buildx: Suite
    name: str
    bundle: str

    def sh(self, script: str, *options: str) -> str:
        run = ("run", "--rm", *options, self.name, "bash", "-c", script)
        return self.suite.engine(*run).strip()

    def extended(self, folder: Path, tag: str, instructions: str) -> Image:
        """Build an image from this one, in which programs trust what this machine trusts."""
        trust = ""
        if self.bundle:
            shutil.copyfile(self.bundle, folder / "machine.crt")
            trust = (
                "USER root\n"
                "COPY machine.crt /usr/local/share/ca-certificates/machine.crt\n"
                "RUN update-ca-certificates\n"
                "ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt"
                " SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt\n"
                "USER airflow\n"
            )
        (folder / "Dockerfile").write_text(f"FROM {self.name}\n{trust}{instructions}\n")
        name = f"{self.name.rpartition(':')[0]}:{tag}"
        build = ("build", "--builder", "default", "--load", "--provenance", "false")
        self.buildx.engine(*build, "--tag", name, str(folder))
        return replace(self, name=name)


def load(
    suite: Suite, engine: EmbeddedEngine, buildx: Suite, *options: str, tag: str = "latest"
) -> Image:
    suite.good("image.build", *PROD, *options, "--tag", tag)
    repository = suite.environment["AIRFLOW_IMAGES_REPOSITORY"]
    name = f"{engine.registry}/{repository}/main/prod/python3.11:{tag}"
    return Image(suite, buildx, name, str(engine.ca_bundle or ""))


@pytest.fixture(scope="module")
def image(suite: Suite, engine: EmbeddedEngine, buildx: Suite) -> Image:
    return load(suite, engine, buildx)


@pytest.mark.nightly
def test_the_default_image_holds_all_that_it_says(image: Image, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    done = image.suite.nox("verify_prod-3.11", "--junit", str(report))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    cases = list(ET.parse(report).iter("testcase"))  # noqa: S314 - our own file
    assert len(cases) >= 40
    assert f"{image.name}: passed {len(cases)} checks" in done.stderr
    assert not [case for case in cases if len(case)]


@pytest.fixture(scope="module")
def unknown(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The same image, whose labels say nothing of what it is."""
    labels = ("image", "python.version", "version", "uid", "slim")
    text = "LABEL " + " ".join(f'org.apache.airflow.{label}=""' for label in labels)
    return image.extended(tmp_path_factory.mktemp("unknown"), "unknown", text)


# The contract, of any image


def test_an_image_without_labels_is_verified(unknown: Image) -> None:
    command = ("image.verify", unknown.name)
    done = unknown.suite.invoke(*command, "--select", "entrypoint")
    assert done.returncode == 2
    assert "no label says which image it is" in last(done.stderr)
    select = ("--select", "entrypoint or users or runtime", "--json")
    done = unknown.suite.good(*command, "--contract", *select)
    outcomes = {check["check"]: check["outcome"] for check in json.loads(done.stdout)["checks"]}
    assert "test_the_libraries_of_every_shared_object_are_there" in outcomes
    assert "test_its_labels_say_what_it_is" not in outcomes
    assert set(outcomes.values()) <= {"passed", "skipped"}


@pytest.mark.nightly
def test_an_image_without_labels_keeps_the_whole_contract(unknown: Image) -> None:
    done = unknown.suite.invoke("image.verify", unknown.name, "--contract")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


@pytest.mark.parametrize(
    ("instructions", "check", "said"),
    [
        (
            "RUN rm /opt/venv/lib/python3.11/site-packages/psycopg2/_psycopg*.so",
            "can_be_imported",
            "1 of ",
        ),
        (
            "USER root\nRUN rm /usr/lib/*/libkrb5.so.3*\nUSER airflow\n"
            "RUN cp /usr/bin/curl /opt/venv/lib/python3.11/site-packages/psycopg2/curl.so",
            "shared_object",
            "libkrb5.so.3 (for /opt/venv/lib/python3.11/site-packages/psycopg2/curl.so)",
        ),
        (
            "USER root\nRUN sed -i 's/-mmin \"+/-mmin \"+1000/' /clean-logs\nUSER airflow",
            "log_groomer",
            "left are dag/10/1.log, ",
        ),
    ],
    ids=["import", "library", "groomer"],
)
def test_what_is_missing_at_run_time_is_found_out(
    image: Image, tmp_path: Path, instructions: str, check: str, said: str
) -> None:
    broken = image.extended(tmp_path, f"broken-{check.replace('_', '-')}", instructions)
    done = image.suite.invoke("image.verify", broken.name, "--contract", "--select", check)
    assert done.returncode == 11, done.stderr[-2000:]
    assert said in done.stdout + done.stderr


# The Helm chart


@pytest.mark.parametrize("user", ["50000:0", RANDOM])
@pytest.mark.parametrize("variable", ["", "AIRFLOW_CONFIG"])
def test_the_charts_configuration_is_read_only_and_counts(
    image: Image, tmp_path: Path, user: str, variable: str
) -> None:
    file = tmp_path / "airflow.cfg"
    file.write_text("[core]\nparallelism = 7\n")
    file.chmod(0o644)
    place = "/config/airflow.cfg" if variable else "/opt/airflow/airflow.cfg"
    options = ["--user", user, "--volume", f"{file}:{place}:ro"]
    options += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    options += ["--env", f"{variable}={place}"] if variable else []
    options += ["--env", "CONNECTION_CHECK_MAX_COUNT=0"]
    assert last(image.sh("airflow config get-value core parallelism", *options)) == "7"


@pytest.mark.parametrize("user", ["50000:0", RANDOM])
def test_the_root_file_system_may_be_read_only(image: Image, user: str) -> None:
    folders = [f"--tmpfs={folder}:mode=1777" for folder in ("/tmp", "/opt/airflow/logs")]
    said = image.sh("airflow version; whoami || true", "--read-only", "--user", user, *folders)
    assert "3.3.2" in said


# Bytecode


def leak(image: Image) -> float:
    """Return how many names that do not exist each start of Python leaves in the kernel."""
    container = image.suite.engine(
        "run", "--detach", "--user", RANDOM, "--entrypoint", "sleep", image.name, "3600"
    ).strip()
    loop = f"for n in $(seq {EXECS}); do python -c 'import asyncio, email, json, logging'; done"
    try:
        image.suite.engine("exec", container, "bash", "-c", "python -c 'import asyncio'")
        time.sleep(2)
        before = int(DENTRIES.read_text().split()[4])
        image.suite.engine("exec", container, "bash", "-c", loop)
        return (int(DENTRIES.read_text().split()[4]) - before) / EXECS
    finally:
        image.suite.engine("rm", "--force", container)


@pytest.mark.nightly
def test_on_a_base_without_bytecode_a_start_of_python_leaves_no_names_in_the_kernel(
    suite: Suite, engine: EmbeddedEngine, image: Image, tmp_path: Path
) -> None:
    arguments = suite.good("image.build", *PROD, "--dry-run").stdout
    base = arguments.partition("BASE_IMAGE=")[2].split()[0]
    (tmp_path / "Dockerfile").write_text(f"FROM {base}\nRUN find /usr -name '*.pyc' -delete\n")
    name = f"{engine.registry}/{suite.environment['AIRFLOW_IMAGES_REPOSITORY']}/base:no-bytecode"
    build = ("build", "--builder", "default", "--push", "--provenance", "false", "--tag", name)
    image.buildx.engine(*build, str(tmp_path))
    options = ("--base-image", name)
    few = suite.having(**FEW_EXTRAS)
    compiled = load(few, engine, image.buildx, *options, tag="base-compiled")
    none = load(few, engine, image.buildx, *options, "--prod-bytecode", "none", tag="base-plain")
    # Other programs of the machine leave names, too, and the kernel may forget some.
    assert any(leak(compiled) < 50 for _ in range(3))
    assert any(leak(none) > 50 for _ in range(3))
    select = ("--tag", "base-compiled", *options, "--select", "bytecode")
    few.good("image.verify", "prod-3.11", *select)


# Extensions, as the documentation of the official image has them

FILES = {
    "requirements.txt": "tinydb\n",
    "hello.py": (
        "from airflow.sdk import dag\n\n@dag(schedule=None)\ndef hello():\n    pass\n\nhello()\n"
    ),
}
AIRFLOW = '"apache-airflow==${AIRFLOW_VERSION}"'
APT = "apt-get update && apt-get install --yes --no-install-recommends"
EXTENSIONS = {
    "apt": (f"USER root\nRUN {APT} tree\nUSER airflow", "tree --version"),
    "build tools": (
        f"USER root\nRUN {APT} build-essential libopenmpi-dev\nUSER airflow\n"
        f"RUN pip install --no-cache-dir {AIRFLOW} mpi4py",
        "python -c 'import mpi4py.MPI'",
    ),
    "providers": (
        f"RUN pip install --no-cache-dir {AIRFLOW} apache-airflow-providers-imap",
        "airflow providers list --output plain | grep imap",
    ),
    "custom providers": (
        f"RUN pip install --no-cache-dir {AIRFLOW} apache-airflow-providers-imap==3.9.0",
        "pip show apache-airflow-providers-imap | grep '^Version: 3.9.0'",
    ),
    "PyPI": (f"RUN pip install --no-cache-dir {AIRFLOW} tinydb", "python -c 'import tinydb'"),
    "constraints": (
        f'RUN pip install --no-cache-dir {AIRFLOW} lxml --constraint "${{HOME}}/constraints.txt"',
        "pip check && python -c 'import lxml.etree'",
    ),
    "uv": (f"RUN uv pip install --no-cache {AIRFLOW} tinydb", "python -c 'import tinydb'"),
    "requirements": (
        f"COPY requirements.txt /\nRUN pip install --no-cache-dir {AIRFLOW} -r /requirements.txt",
        "python -c 'import tinydb'",
    ),
    "DAGs": (
        "COPY --chown=airflow:root hello.py /opt/airflow/dags/",
        "airflow db migrate && airflow dags test hello",
    ),
    "writable folder": (
        "RUN umask 0002; mkdir -p ~/written",
        "touch ~/written/file && test $(id -u) = 1000650000",
    ),
    "venv": (
        "RUN python -m venv /opt/airflow/other && /opt/airflow/other/bin/pip install tinydb",
        "/opt/airflow/other/bin/python -c 'import tinydb'",
    ),
    "configuration": (
        "ENV AIRFLOW__CORE__PARALLELISM=7",
        "test $(airflow config get-value core parallelism | tail -1) = 7",
    ),
}
#: What pip, uv and apt do in an image that is derived from the official one.
DERIVED = {
    "upgrade one package": (
        "RUN pip install --no-cache-dir tinydb==4.7.0 && pip install --no-cache-dir -U tinydb",
        "python -c 'import tinydb; assert tinydb.__version__ > \"4.7.0\"'",
    ),
    "uninstall one package": (
        "RUN pip install --no-cache-dir tinydb && pip uninstall --yes tinydb",
        "! python -c 'import tinydb' 2> /dev/null",
    ),
    # The image has bytecode of it, which Python does not compare with the module.
    **{
        f"downgrade by {tool}": (
            f"RUN {tool} install --no-cache-dir 'idna<3.8'",
            "python -c 'import idna; from importlib.metadata import version;"
            ' assert idna.__version__ == version("idna") == "3.7"\'',
        )
        for tool in ("pip", "uv pip")
    },
    "remove what the image came with": (
        "RUN uv pip uninstall apache-airflow-providers-ftp",
        "! python -c 'import airflow.providers.ftp.hooks.ftp' 2> /dev/null",
    ),
    "a package of Debian removed": (
        f"USER root\nRUN {APT} tree && apt-get purge --yes tree\nUSER airflow",
        "! command -v tree",
    ),
}


@pytest.mark.nightly
@pytest.mark.parametrize("name", [*EXTENSIONS, *DERIVED])
def test_an_extension_of_the_image_works(image: Image, tmp_path: Path, name: str) -> None:
    instructions, script = {**EXTENSIONS, **DERIVED}[name]
    for file, text in FILES.items():
        (tmp_path / file).write_text(text)
    extension = image.extended(tmp_path, f"extended-{name.replace(' ', '-').lower()}", instructions)
    user = RANDOM if name == "writable folder" else "50000:0"
    extension.sh(script, "--user", user)
    assert extension.sh("airflow version").endswith("3.3.2")


@pytest.mark.nightly
def test_pip_as_root_is_refused_and_leaves_nothing(image: Image, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="pip as root"):
        image.extended(tmp_path, "pip-as-root", "USER root\nRUN pip install tinydb")
