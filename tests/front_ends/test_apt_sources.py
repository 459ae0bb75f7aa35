"""The script that sets the sources of Debian packages of a step, run by bash on other folders."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from build_tasks.inputs import apt_sources
from build_tasks.inputs.apt_sources import AptSettings

KEY = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEBIAN = """\
Types: deb
# URIs: http://old.example.com/debian trixie
URIs: http://deb.debian.org/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: KEY

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: bookworm-security
Components: main contrib
"""
OTHER = "deb [arch=amd64] https://packages.example.com/debian bookworm-team stable\n"


class Step:
    """The folders of a step, and what the script makes of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        parts = folder / "etc/apt/sources.list.d"
        parts.mkdir(parents=True)
        (parts / "debian.sources").write_text(DEBIAN)
        (parts / "team.list").write_text(OTHER)
        (folder / "etc/os-release").write_text("ID=debian\nVERSION_CODENAME=bookworm\n")

    def run(self, settings: AptSettings) -> subprocess.CompletedProcess[str]:
        file = apt_sources.script(settings)
        assert file
        script = file.read_text()
        for place in ("/etc/", "/tmp/apt-sources"):
            script = script.replace(place, f"{self.folder}{place}")
        script = script.replace("/run/apt", str(apt_sources.folder(settings) or self.folder))
        script += 'printf "%s\\n" "${apt_options[@]}" "EULA ${ACCEPT_EULA-}"\n'
        return subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", script],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin"},
        )

    @property
    def made(self) -> dict[str, str]:
        """The files with the sources that apt reads."""
        home = self.folder / "tmp/apt-sources"
        files = [home / "sources.list", *(home / "parts").iterdir()]
        return {file.name: file.read_text() for file in files}


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Step:
    monkeypatch.setenv("AIRFLOW_IMAGES_CACHE", str(tmp_path / "cache"))
    return Step(tmp_path / "root")


def given(mirror: str = "", security: str = "", *sources: Path, **environment: str) -> AptSettings:
    return AptSettings(mirror, security, sources, environment, "here")


@pytest.fixture
def backports(tmp_path: Path) -> Path:
    file = tmp_path / "backports.sources"
    file.write_text(f"Types: deb\nURIs: http://h\nSuites: b\nSigned-By: {KEY}\n")
    return file


def test_further_sources_come_beside_those_of_the_base_image(step: Step, backports: Path) -> None:
    (step.folder / "etc/apt/sources.list").write_text("deb http://h/debian bookworm main\n")
    done = step.run(given("", "", backports, ACCEPT_EULA="it's $HOME"))
    assert done.returncode == 0, done.stderr
    home = step.folder / "tmp/apt-sources"
    assert done.stdout.splitlines() == [
        *("-o", f"Dir::Etc::sourcelist={home}/sources.list"),
        *("-o", f"Dir::Etc::sourceparts={home}/parts"),
        "EULA it's $HOME",
    ]
    assert step.made == {
        "sources.list": "deb http://h/debian bookworm main\n",
        "debian.sources": DEBIAN,
        "team.list": OTHER,
        "0-backports.sources": backports.read_text(),
    }


def test_a_mirror_replaces_the_sources_of_the_base_image(step: Step, backports: Path) -> None:
    done = step.run(given("https://m/debian", "", backports))
    assert done.returncode == 0, done.stderr
    line = f"deb [signed-by={KEY}] https://m/debian"
    assert step.made == {
        "sources.list": (
            f"{line} bookworm main contrib\n{line} bookworm-updates main contrib\n"
            f"{line}-security bookworm-security main contrib\n"
        ),
        "0-backports.sources": backports.read_text(),
    }


@pytest.mark.parametrize(("security", "suites"), [("none", 2), ("https://s/x", 3)])
def test_security_updates_have_a_mirror_of_their_own_or_none(
    step: Step, security: str, suites: int
) -> None:
    assert step.run(given("https://m/debian", security)).returncode == 0
    lines = step.made["sources.list"].splitlines()
    assert len(lines) == suites
    assert any(f"{security} bookworm-security" in line for line in lines) == (suites == 3)


def test_without_a_mirror_there_are_only_the_further_sources(step: Step, backports: Path) -> None:
    assert step.run(given("none", "", backports)).returncode == 0
    assert step.made == {"sources.list": "", "0-backports.sources": backports.read_text()}


def test_a_base_image_without_sources_of_debian_has_none_that_a_mirror_replaces(
    step: Step,
) -> None:
    (step.folder / "etc/apt/sources.list.d/debian.sources").unlink()
    done = step.run(given("https://m/debian"))
    assert done.returncode == 1
    assert done.stderr == (
        "apt.mirror: the base image has no source of Debian bookworm that a mirror could replace\n"
    )


def test_an_image_without_any_source_can_have_further_ones(step: Step, backports: Path) -> None:
    for file in (step.folder / "etc/apt/sources.list.d").iterdir():
        file.unlink()
    done = step.run(given("", "", backports))
    assert done.returncode == 0, done.stderr
    assert [*step.made] == ["sources.list", "0-backports.sources"]


def test_the_steps_of_the_dockerfiles_use_the_script() -> None:
    root = Path(__file__).resolve().parents[2]
    for name, steps in (("Dockerfile", 2), ("Dockerfile.ci", 1)):
        text = (root / name).read_text()
        assert text.count("--mount=type=bind,from=apt,target=/run/apt ") == steps
        assert text.count("[ ! -e /run/secrets/apt ] || . /run/secrets/apt") == steps
        assert text.count("--mount=type=secret,id=apt,required=false ") == steps
        assert text.count("rm -r -f /tmp/apt-sources") == steps
        assert len(re.findall(r'apt-get (?:.|\\\n)*"\$\{apt_options\[@\]\}"', text)) == steps
