"""Images with packages of requirements files, on a real engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from archives import wheel
from suite import FEW_EXTRAS, Suite, last, steps

HASH = "274b1e6fc1b966d53976333eb90ac94cb07a450a700b455af9fbdf882244b30a"
COWSAY = f"cowsay==6.1 \\\n    --hash=sha256:{HASH}\n"
BUILD = {kind: ("image.build", "--kind", kind, "--python", "3.11") for kind in ("ci", "prod")}
#: A release that wants a jinja2 and a cffi which no constraints have.
GREEDY = "dbt-core==1.0.0"


@dataclass(frozen=True)
class Team:
    """A checkout with a requirements.txt, and one of its images."""

    suite: Suite
    kind: str

    def write(self, text: str, name: str = "requirements.txt") -> None:
        (self.suite.root / name).write_text(text)

    @property
    def build(self) -> tuple[str, ...]:
        return BUILD[self.kind]

    def made(self, *options: str) -> str:
        """Return the name of the image."""
        return last(self.suite.good(*self.build, *options).stderr).split()[2]

    def sh(self, image: str, script: str) -> str:
        return self.suite.engine("run", "--rm", image, "bash", "-c", script).strip()

    def ran(self, *options: str) -> list[str]:
        """Return the steps that ran, by their names."""
        done = self.suite.good(*self.build, "--progress", "rawjson", *options)
        return [step.name for step in steps(done.stderr) if not step.cached]


@pytest.fixture
def prod(project: Suite, tmp_path: Path) -> Team:
    settings = project.root / "images.toml"
    text = settings.read_text()
    for old, new in (
        ("python = []", "python = ['-r requirements.txt', \"nothing; python_version < '3.9'\"]"),
        ("apt-runtime = []", 'apt-runtime = ["-r packages.txt"]'),
    ):
        assert old in text
        text = text.replace(old, new)
    settings.write_text(text)
    repository = f"tests/{tmp_path.name}"
    team = Team(project.having(AIRFLOW_IMAGES_REPOSITORY=repository, **FEW_EXTRAS), "prod")
    team.write("tree # shows folders\n", "packages.txt")
    team.write(f"{COWSAY}")
    return team


@pytest.fixture
def ci(prod: Team) -> Team:
    return replace(prod, kind="ci")


def test_prod_has_what_the_files_name(prod: Team) -> None:
    (prod.suite.root / "deps").mkdir()
    prod.write("-r deps/more.txt\n-c deps/own.txt\n")
    prod.write("asgiref\ntoml\nwrong ; python_version < '3.9'\n", "deps/more.txt")
    prod.write("toml==0.10.1\n", "deps/own.txt")
    before = prod.made()
    script = "pip freeze | grep -E '^(apache-airflow|toml)=='; command -v tree"
    assert prod.sh(before, script).splitlines() == [
        *("apache-airflow==3.3.2", "toml==0.10.1", "/usr/bin/tree")
    ]
    select = ("--select", "installed or pinned or nobody or everything or fit")
    prod.suite.good("image.verify", before, *select)

    prod.write("# only a comment\nasgiref\ntoml\nwrong ; python_version < '3.9'\n", "deps/more.txt")
    assert prod.ran() == []
    prod.write("asgiref\n", "deps/more.txt")
    done = prod.suite.good("image.check", *BUILD["prod"][1:], "--local")
    assert "files (requirement-files:deps/more.txt)" in done.stdout
    ran = prod.ran()
    assert "install additional Python packages" in ran[0]
    assert not [name for name in ran if "install Airflow" in name]
    explained = prod.suite.good("image.explain").stdout
    assert "install additional Python packages" in explained
    assert "file requirement-files:deps/more.txt: changed" in explained


@pytest.mark.nightly
def test_ci_has_what_the_files_name(ci: Team) -> None:
    image = ci.made()
    assert "cowsay==6.1" in ci.sh(image, "uv pip freeze").splitlines()
    assert "moo" in ci.sh(image, "cowsay -t moo")
    assert ci.sh(image, "airflow version") == "3.3.2"
    ci.suite.good("image.verify", image, "--select", "nobody or everything or fit")
    ci.write(f"# checked\n{COWSAY}")
    assert ci.ran() == []


@pytest.mark.parametrize("kind", ["ci", "prod"])
def test_a_package_without_its_hash_is_named(prod: Team, kind: str) -> None:
    team = replace(prod, kind=kind)
    # A version that no other test has downloaded: uv's cache knows the hash of the other.
    team.write(f"cowsay==6.0 --hash=sha256:{HASH}\n")
    done = team.suite.invoke(*team.build)
    assert done.returncode == 10, done.stderr[-2000:]
    assert last(done.stderr).startswith(
        f"{kind}-3.11-amd64: Hash mismatch for `cowsay==6.0` (step "
    )


@pytest.mark.parametrize("kind", ["ci", "prod"])
def test_what_only_uv_knows_fails_in_the_step(prod: Team, kind: str) -> None:
    team = replace(prod, kind=kind)
    team.write(f"{GREEDY}\n")
    done = team.suite.invoke(*team.build)
    assert done.returncode == 8, done.stderr[-2000:]
    line = last(done.stderr)
    assert line.startswith(f"{kind}-3.11-amd64: no versions fit together: ")
    assert f"Because {GREEDY} depends on " in line
    assert "Traceback" not in done.stderr


def test_constraints_are_resolved_for_the_files(prod: Team) -> None:
    prod.write("toml\n-c own.txt\n")
    prod.write("toml==0.10.1\n", "own.txt")
    prod.suite.good("constraints.generate", "--python", "3.11")
    text = (prod.suite.root / "constraints/constraints-3.11.txt").read_text()
    assert "toml==0.10.1\n" in text
    prod.write(f"{GREEDY}\njinja2>=3\n")
    done = prod.suite.invoke("constraints.generate", "--python", "3.11")
    assert done.returncode == 8
    assert "No solution found" in last(done.stderr)


def test_airflow_from_a_wheel_is_not_replaced_by_its_release(prod: Team) -> None:
    """The constraints pin another version, and the provider requires some Airflow."""
    folder: Path = prod.suite.root / "docker-context-files"
    folder.mkdir()
    wheel(folder / "apache_airflow-3.4.0rc1-py3-none-any.whl")
    prod.write("apache-airflow-providers-common-compat\n")
    image = prod.made("--airflow-from", "wheels", "--airflow-extras", ",")
    versions = prod.sh(image, "pip list --format freeze | grep '^apache-airflow'").splitlines()
    pins = (prod.suite.root / "constraints/constraints-3.11.txt").read_text().splitlines()
    provider = next(pin for pin in pins if pin.startswith("apache-airflow-providers-common-compat"))
    assert versions == ["apache-airflow==3.4.0rc1", provider]
