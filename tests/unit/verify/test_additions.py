"""What a project adds to the image to verify."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from targets import target

from build_tasks.config import loading
from build_tasks.config.settings import Settings
from build_tasks.errors import UsageError
from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.verify import additions
from build_tasks.verify.target import Target

SETTINGS = """\
[prod]
checks = "checks/test_prod.py"
[images.site]
from = "team"
python = ["pandas==2.3.0", 'x; python_version < "3"']
checks = "checks/test_site.py"
budget = 700
[images.team]
python = ["humanize"]
apt = ["tree"]
"""
BUILD = Build(ImageKind.PROD, "3.11", Platform.AMD64)


def load(folder: Path, text: str = SETTINGS) -> Settings:
    (folder / "images.toml").write_text(text)
    (folder / "checks").mkdir(exist_ok=True)
    for name in ("prod", "site"):
        (folder / f"checks/test_{name}.py").write_text("def test_it(): ...\n")
    return loading.load(environment={}, file=folder / "images.toml")


def added(settings: Settings, build: Build) -> Target:
    return additions.add(replace(target(), build=build, budget=900), settings)


def test_an_own_image_has_what_its_chain_adds(tmp_path: Path) -> None:
    found = added(load(tmp_path), replace(BUILD, name="site"))
    assert [image.name for image in found.own] == ["team", "site"]
    assert found.additional[-3:] == ("humanize", "pandas==2.3.0", 'x; python_version < "3"')
    assert {*found.additional} <= {*found.packages}
    assert found.own_pins == {"humanize", "pandas", "x"}
    assert found.budget == 700
    assert [file.name for file in found.checks] == ["test_prod.py", "test_site.py"]
    assert not found.arbitrary


def test_airflows_own_image_has_only_its_checks(tmp_path: Path) -> None:
    found = added(load(tmp_path), BUILD)
    assert (found.own, found.budget, found.additional) == ((), 900, ())
    assert [file.name for file in found.checks] == ["test_prod.py"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('[images.site]\ndockerfile = "Dockerfile"\n', "site"),
        ('[images.site]\nbuild-script = "b"\n', "site"),
        ('[images.site]\nfrom = "team"\n[images.team]\nbuild-script = "b"\n', "site"),
        ('[prod]\ndockerfile = "Dockerfile"\n[images.site]\n', "site"),
        ('[prod]\ndockerfile = "Dockerfile"\n', ""),
    ],
)
def test_a_dockerfile_or_a_script_may_add_anything(tmp_path: Path, text: str, name: str) -> None:
    assert added(load(tmp_path, text), replace(BUILD, name=name)).arbitrary


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "images.toml: prod.checks: "),
        ("def test_x(:\n", "test_prod.py:1: "),
        ("\0", "test_prod.py:1: "),
    ],
)
def test_a_file_that_is_no_python_is_one_line(
    tmp_path: Path, content: str | None, message: str
) -> None:
    settings = load(tmp_path)
    file = tmp_path / "checks/test_prod.py"
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(UsageError) as caught:
        added(settings, BUILD)
    assert str(caught.value).startswith("images.toml: prod.checks: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
