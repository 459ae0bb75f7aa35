"""The examples in docs: settings load, and builders make exactly the commands beside them."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from build_tasks import process
from build_tasks.builders import desired
from build_tasks.buildx import commands
from build_tasks.buildx.toolchain import Client
from build_tasks.config import loading, schema
from build_tasks.model.builder import Builder
from build_tasks.process import Command

DOCS = Path(__file__).resolve().parents[2] / "docs"
#: Examples of settings, each with the page that has it.
SETTINGS = [
    pytest.param(text, id=page.stem)
    for page in sorted(DOCS.glob("*.md"))
    for text in re.findall(
        r"^```toml\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    if not text.startswith("# buildkitd")
]
TEXT = (DOCS / "builders.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
FILES = [text for kind, text in BLOCKS if kind == "toml" and not text.startswith("# buildkitd")]
TITLES = re.findall(r"^## (.*)$", TEXT, re.MULTILINE)[-len(FILES) :]
DOCKER = Client("docker", ("docker", "buildx"), {})


PAGES = [*DOCS.parent.glob("*.md"), *DOCS.rglob("*.md")]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?://)([^)\s]+)\)", page.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def commands_beside(file: str) -> list[list[str]]:
    """Return the commands of the console block that follows a file in the text."""
    after = TEXT.partition(file)[2]
    block = re.search(r"^```console\n(.*?)^```$", after, re.MULTILINE | re.DOTALL)
    assert block
    lines = [line.removeprefix("$ ") for line in block[1].splitlines()]
    return [shlex.split(line) for line in lines]


def builders(file: str, folder: Path) -> list[Builder]:
    path = folder / "images.toml"
    path.write_text(file, encoding="utf-8")
    loaded = loading.load(environment={}, file=path)
    assert loaded.builder in {"default", *loaded.builders}
    return [desired.for_registry(loaded.registry, one, "") for one in loaded.builders.values()]


@pytest.mark.parametrize("text", SETTINGS)
def test_settings_load_and_editors_accept_them(text: str, tmp_path: Path) -> None:
    path = tmp_path / "images.toml"
    path.write_text(text, encoding="utf-8")
    loading.load(environment={}, file=path)
    assert not [*Draft7Validator(schema.make()).iter_errors(tomllib.loads(text))]


def test_there_is_an_example_of_each_way_to_grow() -> None:
    assert len(FILES) == 6
    assert [title.partition(",")[0] for title in TITLES] == [
        *("One machine", "A native arm64 machine", "A native arm64 machine"),
        *("A pool of remote daemons", "Kubernetes", "Several CI machines"),
    ]


@pytest.mark.parametrize("file", FILES, ids=TITLES)
def test_an_example_makes_the_commands_beside_it(file: str, tmp_path: Path) -> None:
    made: list[Command] = []
    for one in builders(file, tmp_path):
        text = desired.buildkitd_toml(one)
        made += commands.create_commands(DOCKER, one, Path("buildkitd.toml") if text else None)
    assert [list(command) for command in made] == commands_beside(file)
    for command in made:
        assert process.quote(command) in TEXT


def test_the_file_of_the_first_example_is_the_one_beside_it(tmp_path: Path) -> None:
    (told,) = [text for kind, text in BLOCKS if text.startswith("# buildkitd.toml\n")]
    (one,) = builders(FILES[0], tmp_path)
    assert f"# buildkitd.toml\n{desired.buildkitd_toml(one)}" == told
    assert tomllib.loads(told)["worker"]["oci"]["maxUsedSpace"] == 60_000_000_000
