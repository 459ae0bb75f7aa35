"""Docker contexts on the real engine: every verb uses the engine that the context names."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from remote import ENGINE, certificates, remote
from suite import Suite, last

from build_tasks.engine.state import EmbeddedEngine

DOCKERFILE = """\
FROM scratch AS main
ARG AIRFLOW_PYTHON_VERSION
COPY constraints/constraints-3.11.txt /it
"""
ONE = ("--kind", "ci", "--python", "3.11")
#: Names that docker takes for a context; buildx's rule for builders takes only the first.
NAMES = ("colima", "a+b", "1.Ctx_2")


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder with its content, but for links."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def home(engine: EmbeddedEngine, tmp_path: Path) -> Path:
    """A user's folder of Docker's configuration, whose docker and buildx are real ones."""
    config = tmp_path / "docker-config"
    (config / "cli-plugins").mkdir(parents=True)
    known = Path(engine.environment["DOCKER_CONFIG"], "config.json").read_text()
    (config / "config.json").write_text(known)  # a user who has logged in to the registry
    (config / "cli-plugins" / "docker-buildx").symlink_to(engine.buildx)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "docker").symlink_to(engine.docker)
    return config


@pytest.fixture
def docker(home: Path, project: Suite) -> Callable[..., str]:
    """The user's docker, without a DOCKER_HOST."""

    def run(*words: str) -> str:
        return subprocess.run(
            [home.parent / "bin" / "docker", *words],
            env={**project.environment, "DOCKER_CONFIG": str(home), "PATH": path(home)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    return run


def path(home: Path) -> str:
    return f"{home.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def user(
    project: Suite, home: Path, docker: Callable[..., str], engine: EmbeddedEngine
) -> Iterator[Suite]:
    """The suite for a user with contexts, whose buildx has a builder that is current for them."""
    (project.root / "Dockerfile.ci").write_text(DOCKERFILE)
    for name in NAMES:
        docker("context", "create", name, "--docker", f"host={engine.host}")
        docker("--context", name, "buildx", "create", "--use", "--name", f"mine{len(name)}")
    before = tree(home)
    yield project.having(
        AIRFLOW_IMAGES_ENGINE="docker",
        AIRFLOW_IMAGES_REGISTRY=engine.registry,
        DOCKER_CONFIG=str(home),
        PATH=path(home),
    )
    after = tree(home)
    before.pop("config.json", None)  # `docker context use` is the test's own
    after.pop("config.json", None)
    assert after == before  # contexts, current builders: nothing of the user's was touched


def use_everything(suite: Suite, tag: str) -> None:
    """Run every verb that asks an engine or a builder, and see that it does what it says."""
    suite.good("image.build", *ONE, "--tag", tag)
    held = json.loads(suite.good("image.check", *ONE, "--tag", tag, "--local", "--json").stdout)
    assert [(one["place"], one["there"]) for one in held[0]["findings"]] == [("engine", True)]
    suite.good("image.push", *ONE, "--tag", tag)
    checked = ("image.check", *ONE, "--tag", tag, "--remote", "--json")
    held = json.loads(suite.good(*checked).stdout)
    assert [(one["place"], one["there"]) for one in held[0]["findings"]] == [("registry", True)]
    suite.good("image.push", *ONE, "--push-by-digest")
    suite.good("image.merge", *ONE, "--tag", f"{tag}-merged", "--platform", "linux/amd64")
    suite.good("cache.push", *ONE)
    used = json.loads(suite.good("cache.usage", *ONE, "--json").stdout)
    assert [(one["builder"], one["error"]) for one in used["builders"]] == [("default", None)]
    assert used["builders"][0]["records"] > 0
    assert len(used["references"]) == 1
    rows = {one["builder"]: one for one in json.loads(suite.good("builder.list", "--json").stdout)}
    assert (rows["default"]["status"], rows["default"]["driver"]) == ("running", "docker")
    seen = json.loads(suite.good("builder.inspect", "--json").stdout)
    assert (seen["status"], seen["driver"]) == ("running", "docker")
    file = suite.root / "image.tar.zst"
    suite.good("image.save", *ONE, "--tag", tag, "--file", str(file))
    suite.good("image.load", "--file", str(file))
    select = ("--select", "the_manifest_is_for_the_platform")
    suite.good("image.verify", "ci-3.11", "--tag", tag, *select)
    suite.good("cache.prune", "--all")
    used = json.loads(suite.good("cache.usage", "--local", "--json").stdout)
    assert used["builders"][0]["records"] == 0


@pytest.mark.parametrize(
    "name", [NAMES[0], *(pytest.param(name, marks=pytest.mark.nightly) for name in NAMES[1:])]
)
def test_every_verb_works_with_the_current_context(
    user: Suite, docker: Callable[..., str], name: str
) -> None:
    docker("context", "use", name)
    use_everything(user, "used")
    assert docker("context", "show").strip() == name


def test_every_verb_works_with_docker_context_in_the_environment(user: Suite) -> None:
    use_everything(user.having(DOCKER_CONTEXT=NAMES[1]), "variable")


def test_docker_host_beats_the_context(
    user: Suite, docker: Callable[..., str], engine: EmbeddedEngine
) -> None:
    docker("context", "create", "nowhere", "--docker", "host=unix:///nonexistent/docker.sock")
    docker("context", "use", "nowhere")
    shown = user.having(DOCKER_HOST=engine.host, DOCKER_CONTEXT="nowhere").good(
        "image.build", *ONE, "--tag", "host", "--verbose"
    )
    assert "--builder default " in shown.stderr
    assert docker("context", "rm", "--force", "nowhere")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere", "unix:///nonexistent/docker.sock"),
        ("unknown", '"unknown"'),
    ],
)
def test_a_context_without_an_engine_is_one_line(
    user: Suite, docker: Callable[..., str], name: str, reason: str
) -> None:
    docker("context", "create", "nowhere", "--docker", "host=unix:///nonexistent/docker.sock")
    for task in (("image.build", *ONE), ("image.push", *ONE), ("cache.prune",)):
        done = user.having(DOCKER_CONTEXT=name).invoke(*task)
        assert done.returncode == 3, done.stderr[-2000:]
        assert reason in last(done.stderr)
        assert "Traceback" not in done.stderr
    docker("context", "rm", "--force", "nowhere")


def test_a_dedicated_builder_under_a_context_belongs_to_its_engine(
    user: Suite, project: Suite
) -> None:
    here = user.having(DOCKER_CONTEXT=NAMES[1])
    name = f"ctx-{os.getpid()}"
    # BuildKit's own image may be out of reach; the embedded engine has one.
    project.good("builder.create", "--builder", name)
    seen = json.loads(project.good("builder.inspect", "--builder", name, "--json").stdout)
    project.good("builder.remove", "--builder", name)
    with (project.root / "images.toml").open("a") as file:
        file.write(f'\n[builders.{name}]\noptions = {{ image = "{seen["nodes"][0]["image"]}" }}\n')
    here.good("builder.create", "--builder", name)
    try:
        here.good("image.build", *ONE, "--builder", name, "--tag", "dedicated")
        done = here.invoke("builder.create", "--builder", name)
        assert done.returncode == 0, done.stderr[-2000:]
        other = user.having(DOCKER_CONTEXT=NAMES[0]).invoke("builder.create", "--builder", name)
        assert other.returncode == 3
        assert f"endpoint is {NAMES[1]}, expected {NAMES[0]}" in other.stderr
    finally:
        here.good("builder.remove", "--builder", name)


def test_the_name_of_another_context_is_no_builder(user: Suite) -> None:
    here = user.having(DOCKER_CONTEXT=NAMES[0])
    here.good("image.build", *ONE, "--tag", "named", "--builder", NAMES[0])
    done = here.invoke("image.build", *ONE, "--builder", NAMES[2])
    assert done.returncode == 3, done.stderr[-2000:]
    assert f"DOCKER_CONTEXT={NAMES[2]}" in last(done.stderr)


@pytest.mark.parametrize("verified", [True, False])
def test_every_verb_works_with_a_context_behind_client_certificates(
    user: Suite, docker: Callable[..., str], engine: EmbeddedEngine, tmp_path: Path, verified: bool
) -> None:
    folder = tmp_path / "certificates"
    folder.mkdir()
    server = certificates(folder)
    with remote(str(engine.docker), {"DOCKER_HOST": engine.host}, server, ENGINE) as one:
        trust = f"ca={folder}/ca.pem" if verified else "skip-tls-verify=true"
        where = f"host={one.endpoint},{trust},cert={folder}/client.pem,key={folder}/client.key"
        docker("context", "create", "secure", "--docker", where)
        here = user.having(DOCKER_CONTEXT="secure")
        here.good("image.build", *ONE, "--tag", "secure")
        here.good("image.push", *ONE, "--tag", "secure")
        here.good("cache.usage", "--local")
        assert "running" in here.good("builder.list").stdout
        here.good("image.check", *ONE, "--tag", "secure")
        assert one.connections
        docker("context", "rm", "--force", "secure")
