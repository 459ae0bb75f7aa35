"""A project whose CI image is made of a checkout of Airflow, and what its builds did."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import airflow_tree
import teams
from airflow_tree import TESTED, Release
from registry_proxy import Proxy
from suite import ROOT, Suite

#: Of the steps of Dockerfile.ci, those that an edited file repeats, and an edited dependency.
EDIT = frozenset({"changed-files 1/1", "image-copy 2/2"})
FILES = EDIT | {"base-files 1/1", "image-copy 1/2"}
DEPENDENCY = "main 8/9"
INSTALL = EDIT | {DEPENDENCY, "main 9/9", "image-copy 1/2"}
PYTHON = ("--python", "3.11")
#: What git leaves out of the repository of Airflow, as far as tests make it.
_IGNORED = "__pycache__/\n.pytest_cache/\n/generated/\n"
#: All that an image has of a checkout, and of what is installed, but for times.
_LISTING = """
cd /opt
find airflow venv -name __pycache__ -prune -o -printf '%y %m %U:%G %p -> %l\\n' | sort
find airflow venv -name __pycache__ -prune -o -type f -print0 | sort -z | xargs -0 sha256sum
"""
_LOG = re.compile(r"\(log: (.+)\)$", re.MULTILINE)
_INSTALLED = re.compile(r"^#\d+ (?:\d+\.\d+ )? ?([+-] \S+?==\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Project:
    """A project, its checkout, and the proxy before its registry."""

    suite: Suite
    tree: Path
    proxy: Proxy

    @property
    def image(self) -> str:
        repository = self.suite.environment["AIRFLOW_IMAGES_REPOSITORY"]
        return f"{self.proxy.address}/{repository}/main/ci/python3.11"

    def run(self, *command: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        return self.suite.invoke("image.run", *PYTHON, *options, "--", *command)

    def sh(self, script: str, *options: str) -> str:
        """Run a script in the image, which has to be what a build would make, or is built."""
        done = self.run("bash", "-c", script, options=options)
        assert done.returncode == 0, f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def build(self, *options: str) -> str:
        """Build the image, load it, and return what is said."""
        return self.suite.good("image.build", *PYTHON, "--load", *options).stderr

    def ran(self) -> frozenset[str]:
        """Return the steps that the last build ran."""
        (build,) = json.loads(self.suite.good("image.report", "--json").stdout)["builds"]
        return frozenset(
            f"{step['stage']} {step['number']}/{step['total']}"
            for step in build["steps"]
            if step["kind"] == "step" and step["started"] and not step["cached"]
        )

    def pushed(self) -> int:
        """Push the image, and return the bytes of layers and of its configuration."""
        self.proxy.reset()
        self.suite.good("image.push", *PYTHON)
        pushes = self.proxy.traffic().pushes
        return sum(size for (_, kind), size in pushes.items() if kind == "blob")

    def listing(self, tag: str = "latest") -> list[str]:
        """Return the files of an image, with their owners, modes, targets and contents."""
        run = ("run", "--rm", "--user", "0", "--entrypoint", "bash", f"{self.image}:{tag}")
        return self.suite.engine(*run, "-c", _LISTING).splitlines()

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text in a file of the checkout, or append to it if there is none to replace."""
        file = self.tree / path
        text = file.read_text()
        assert old in text, path
        file.write_text(text.replace(old, new, 1) if old else text + new)

    def git(self, *words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        command = ("git", "-C", str(self.tree), *who, *words)
        subprocess.run(command, check=True, capture_output=True)


def make(
    suite: Suite, home: Path, settings: str, proxy: Proxy, release: Release = TESTED
) -> Project:
    """Make a project beside a git repository with the checkout.

    Args:
        suite: it uses this engine.
        home: a new folder.
        settings: those of the table `ci`, and further tables.
        proxy: before the engine's registry.
        release: that the checkout is of.
    """
    sdists = Path(suite.environment["AIRFLOW_IMAGES_CACHE"], "sdists")
    tree = airflow_tree.make(home / "airflow", sdists, release)
    (tree / ".gitignore").write_text(_IGNORED)
    folder = teams.make(home / "team", "")
    with (folder / "images.toml").open("a") as file:
        file.write(f'[ci]\nfrom = "{tree}"\n{settings}')
    repository = f"{suite.environment['AIRFLOW_IMAGES_REPOSITORY']}/{home.name}"
    environment = {
        "AIRFLOW_IMAGES_REGISTRY": proxy.address,
        "AIRFLOW_IMAGES_REPOSITORY": repository,
        "PYTHONPATH": str(ROOT),
    }
    project = Project(suite.at(folder).having(**environment), tree, proxy)
    project.git("init", "--quiet")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "the release")
    return project


def packages(said: str) -> list[str]:
    """Return what uv installed and removed, in the log of the build that said this."""
    found = _LOG.search(said)
    assert found, said
    return _INSTALLED.findall(Path(found[1]).read_text())
