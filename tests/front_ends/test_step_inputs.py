"""What the settings give to steps: secrets, SSH agents, arguments, proxies, Debian sources."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest
from fake_docker import Bench, lines

SESSION = "build_ci-3.11"
TASK = ("image.build", "--python", "3.11")
#: In a variable whose name says nothing, and in a file.
CANARIES = ("canary-variable-4721", "canary-file-4722")
SETTINGS = """\
pythons = ["3.11"]
https-proxy = "http://proxy.example.com:3128"
no-proxy = [".example.com", "10.0.0.0/8"]
[airflow]
version = "3.3.2"
[build]
secrets = { plain = "env:SOME_VALUE", netrc = "file:private/netrc" }
ssh = ["default", "git=private/netrc"]
arguments = { FLAVOR = "a,b" }
[apt]
sources = ["apt/team.sources"]
environment = { ACCEPT_EULA = "Y" }
"""
SOURCE = "Types: deb\nURIs: https://h/debian\nSuites: x\nComponents: main\nSigned-By: team.asc\n"
KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQGN\n-----END PGP PUBLIC KEY BLOCK-----\n"


@pytest.fixture
def project(bench: Bench, tmp_path: Path) -> Bench:
    """A folder with Dockerfiles of its own, a secret in a file, and a source of Debian packages."""
    root = tmp_path / "project"
    (root / "private").mkdir(parents=True)
    (root / "apt").mkdir()
    (root / "images.toml").write_text(SETTINGS)
    (root / "Dockerfile.ci").write_text(
        "FROM scratch AS apt\nFROM scratch\nARG FLAVOR\n"
        "RUN --mount=type=secret,id=plain --mount=type=bind,from=apt,target=/run/apt true\n"
    )
    (root / "private/netrc").write_text(f"machine h\nlogin me\npassword {CANARIES[1]}\n")
    (root / "apt/team.sources").write_text(SOURCE)
    (root / "apt/team.asc").write_text(KEY)
    environment = {
        **bench.environment,
        "SOME_VALUE": CANARIES[0],
        "SSH_AUTH_SOCK": str(root / "private/netrc"),
        "AIRFLOW_IMAGES_FILE": str(root / "images.toml"),
    }
    return replace(bench, environment=environment)


def test_buildx_is_told_places_and_not_values(project: Bench, tmp_path: Path) -> None:
    for done in project.both(SESSION, TASK):
        assert done.returncode == 0, done.stderr
    first, second = project.builds()
    assert first == second
    text = " ".join(first)
    root = tmp_path / "project"
    assert "--secret id=plain,env=SOME_VALUE" in text
    assert f"--secret id=netrc,src={root}/private/netrc" in text
    assert f"--ssh default --ssh git={root}/private/netrc" in text
    assert "--build-arg FLAVOR=a,b" in text
    assert "--build-arg HTTPS_PROXY=http://proxy.example.com:3128" in text
    assert "--build-arg NO_PROXY=.example.com,10.0.0.0/8" in text
    (context,) = [word for word in first if word.startswith("apt=")]
    folder = Path(context.partition("=")[2])
    assert (folder / "keys/0-team-0.asc").read_text() == KEY
    assert (folder / "environment").read_text() == "export ACCEPT_EULA=Y\n"
    assert "--secret id=apt,src=" in text


@pytest.mark.parametrize(
    "command",
    [
        TASK,
        (*TASK, "--progress", "plain"),
        (*TASK, "--dry-run"),
        ("bake", "--python", "3.11", "--kind", "ci"),
        ("settings",),
        ("settings", "--json"),
    ],
    ids=" ".join,
)
def test_no_output_or_file_has_a_secret(project: Bench, command: tuple[str, ...]) -> None:
    encoded = [base64.b64encode(canary.encode()).decode() for canary in CANARIES]
    done = project.invoke(
        *command,
        FAKE_STDERR="\n".join((*CANARIES, *encoded, "ERROR: failed to solve: " + CANARIES[0])),
        FAKE_EXIT="1",
        FAKE_FAILS="--metadata-file",
    )
    seen = done.stdout + done.stderr
    seen += project.invoke("image.report", "--json").stdout
    seen += "\n".join(" ".join(words) for words in project.told())
    for file in (project.folder / "cache").rglob("*"):
        if file.is_file():
            seen += file.read_text(errors="replace")
    assert ("***" in done.stderr) == bool(project.builds())
    for text in (*CANARIES, *encoded):
        assert text not in seen


def test_the_places_are_in_the_settings(project: Bench) -> None:
    done = project.invoke("settings")
    assert done.returncode == 0, done.stderr
    assert "plain from SOME_VALUE, netrc from private/netrc" in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("env:SOME_VALUE", "env:NONE", "build.secrets: the variable NONE of plain is not set"),
        ('private/netrc" }', 'none" }', "build.secrets: the file ROOT/none of netrc cannot be re"),
        (
            "plain =",
            "ca-bundle =",
            "build.secrets: the id ca-bundle is set by ca-bundle: choose",
        ),
        ("git=private", "git=none", "build.ssh: git: no such file: ROOT/none/netrc"),
        ("FLAVOR", "FLAVUOR", "build.arguments: FLAVUOR: no Dockerfile declares it: did you mean "),
        ("FLAVOR", "BASE_IMAGE", "build.arguments: BASE_IMAGE: it is set from other settings"),
        ("team.sources", "none.sources", "apt.sources: ROOT/apt/none.sources: cannot be re"),
        ("http://proxy", "socks://proxy", "https-proxy: expected an address like http://proxy.exa"),
    ],
)
def test_a_mistake_is_one_line_before_anything_starts(
    project: Bench, tmp_path: Path, old: str, new: str, message: str
) -> None:
    root = tmp_path / "project"
    (root / "images.toml").write_text(SETTINGS.replace(old, new))
    done = project.invoke(*TASK)
    assert done.returncode == 2, done.stderr
    (said,) = lines(done.stderr)
    assert said.replace(str(root), "ROOT").startswith(f"images.toml: {message}")
    assert project.builds() == []


def test_an_unsigned_source_is_one_line_before_anything_starts(
    project: Bench, tmp_path: Path
) -> None:
    file = tmp_path / "project/apt/team.sources"
    file.write_text(SOURCE.replace("Signed-By: team.asc", "Trusted: yes"))
    for done in project.both(SESSION, TASK):
        assert done.returncode in {1, 2}
        (said,) = lines(done.stderr)
        assert (
            "images.toml: apt.sources: team.sources: https://h/debian: Trusted: yes would" in said
        )
    assert project.builds() == []
