"""The secret of the engine's registry, beside the user's own credentials."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from registry_proxy import proxied
from suite import Suite, last

from build_tasks.engine import apt, credentials, packages, state
from build_tasks.engine.folders import engine_folders
from build_tasks.engine.state import EmbeddedEngine

NOBODY = 65534
HELPER = """\
#!/bin/sh
# A credential helper that has one password, and records which registries docker asks it for.
read -r registry
echo "$1 $registry" >> "$(dirname "$0")/asked"
echo '{"ServerURL": "", "Username": "u", "Secret": "p"}'
"""


def push(address: str, authorization: str = "") -> int:
    """Begin to push a blob, and return the status of the answer."""
    request = urllib.request.Request(
        f"http://{address}/v2/tests/secret/blobs/uploads/", method="POST"
    )
    if authorization:
        request.add_header("Authorization", authorization)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - see above
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return int(error.code)


def test_a_push_without_the_secret_is_refused(engine: EmbeddedEngine, suite: Suite) -> None:
    assert push(engine.registry) == 401
    assert push(engine.registry, "Basic YWlyZmxvdy1pbWFnZXM6Z3Vlc3M=") == 401
    assert push(engine.registry, credentials.authorization(engine_folders())) == 202
    secret = engine_folders().home / "private/secret"
    read = subprocess.run(
        ["/bin/cat", secret],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        capture_output=True,
        check=False,
    )
    assert read.returncode
    assert not read.stdout


@pytest.fixture
def small(project: Suite) -> Suite:
    (project.root / "Dockerfile.ci").write_text("FROM scratch\nCOPY sources /x\n")
    return project


BUILD = ("image.build", "--python", "3.11", "--base-image", "scratch")


def test_credential_helpers_of_the_user_are_kept_and_used(
    small: Suite, engine: EmbeddedEngine, tmp_path: Path
) -> None:
    config, programs = tmp_path / "docker", tmp_path / "bin"
    config.mkdir()
    programs.mkdir()
    (programs / "docker-credential-test").write_text(HELPER)
    (programs / "docker-credential-test").chmod(0o755)
    text = json.dumps({"credsStore": "test", "credHelpers": {"ghcr.io": "test"}})
    (config / "config.json").write_text(text)
    user = small.having(
        DOCKER_CONFIG=str(config),
        PATH=f"{programs}{os.pathsep}{small.environment['PATH']}",
        AIRFLOW_IMAGES_REPOSITORY=f"tests/helpers-{tmp_path.name}",  # nobody else pushes there
    )
    user.good(*BUILD, "--push", "--push-cache")
    user.good("cache.prune", "--all")
    used = json.loads(user.good("cache.usage", "--python", "3.11", "--json").stdout)
    references = [reference["reference"] for reference in used["references"]]
    assert f"{engine.registry}/{user.environment['AIRFLOW_IMAGES_REPOSITORY']}" in references[0]
    assert references[0].endswith("/ci/python3.11:cache-linux-amd64")
    digests = ("--digests", str(tmp_path / "digests"))
    user.good(*BUILD, "--push-by-digest", *digests)
    user.good(
        "image.merge", "--python", "3.11", "--platform", "linux/amd64", "--tag", "m", *digests
    )
    # Passwords of other registries come from the user's helper.
    (user.root / "Dockerfile.ci").write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n")
    with proxied(engine.registry) as proxy:
        proxy.fault(r"/v2/", status=401)
        base = f"{proxy.address}/x:1"
        refused = user.invoke("image.build", "--python", "3.11", "--base-image", base)
    assert refused.returncode == 5
    assert f"get {proxy.address}" in (programs / "asked").read_text()
    assert [path.name for path in config.iterdir()] == ["config.json"]
    assert (config / "config.json").read_text() == text


def test_the_secret_is_in_no_output_command_or_environment(
    small: Suite, engine: EmbeddedEngine
) -> None:
    secret = (engine_folders().home / "private/secret").read_text()
    token = credentials.authorization(engine_folders()).removeprefix("Basic ")
    done = small.good(*BUILD, "--push", "--tag", "secret")
    assert secret not in done.stderr
    assert token not in done.stderr
    running = state.read(engine_folders())
    assert running
    for daemon in running.daemons.values():
        folder = Path("/proc", str(daemon.pid))
        assert secret.encode() not in (folder / "cmdline").read_bytes()
        assert secret.encode() not in (folder / "environ").read_bytes()


def test_daemons_get_a_listed_environment(engine: EmbeddedEngine) -> None:
    """Whatever starts them may have a CI job's tokens in its environment."""
    running = state.read(engine_folders())
    assert running
    for daemon in running.daemons.values():
        text = Path("/proc", str(daemon.pid), "environ").read_text()
        names = {line.partition("=")[0] for line in text.split("\0") if line}
        own = {"AIRFLOW_EMBEDDED_ENGINE", "HOME", "LD_LIBRARY_PATH", "PATH", "XTABLES_LIBDIR"}
        assert own <= names
        assert all(packages.INHERITED.fullmatch(name) for name in names - own)
        assert Path("/proc", str(daemon.pid), "cwd").readlink() == Path("/")


def test_unsigned_packages_are_refused_even_if_apt_conf_allows_them(
    engine: EmbeddedEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real apt, a real mirror that nobody signed, and an apt.conf that takes anything."""
    weak = tmp_path / "weak.conf"
    weak.write_text(
        'APT::Get::AllowUnauthenticated "true";\nAcquire::AllowInsecureRepositories "true";\n'
        'Acquire::Check-Valid-Until "false";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(weak))
    index = tmp_path / "mirror/dists/bookworm/main/binary-amd64"
    index.mkdir(parents=True)
    (index / "Packages").touch()
    (tmp_path / "mirror/dists/bookworm/Release").write_text("Suite: bookworm\n")
    with pytest.raises(Exception, match=r"cannot trust the package lists: E: .* not signed"):
        apt.update(tmp_path / "p/apt", f"file:{tmp_path / 'mirror'}", ["bookworm"], print)


def test_the_paths_of_engine_status_work_in_a_shell(small: Suite, engine: EmbeddedEngine) -> None:
    pushed = last(small.good(*BUILD, "--push", "--tag", "printed").stderr)
    name = next(word for word in pushed.split() if word.startswith(engine.registry))
    status = json.loads(small.good("engine.status", "--json").stdout)
    command = [status["docker"], "--config", status["DOCKER_CONFIG"]]
    pulled = subprocess.run(
        [*command, "--host", status["DOCKER_HOST"], "pull", "--quiet", name],
        capture_output=True,
        text=True,
        check=True,
    )
    assert name in pulled.stdout
