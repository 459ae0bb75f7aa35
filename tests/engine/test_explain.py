"""Why steps missed the cache, on builds that really missed it."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from suite import Suite

from build_tasks.engine.state import EmbeddedEngine
from build_tasks.history import recipe
from build_tasks.history.explain import explain, explanation
from build_tasks.history.explain.causes import Cause, Why
from build_tasks.history.record import BuildRecord
from build_tasks.history.recorder import Recorder
from build_tasks.inputs import dockerfile, fingerprint

DOCKERFILE = """\
ARG BASE_IMAGE
FROM scratch AS files
COPY files/list.txt /list.txt
FROM ${BASE_IMAGE} AS build
ARG SALT
RUN true
ARG WORD=one
RUN <<EOF
echo ${WORD} > /word
echo ready
EOF
RUN --mount=type=bind,from=files,target=/files cat /files/list.txt > /list
FROM ${BASE_IMAGE} AS main
ARG SALT
RUN echo main
COPY data /data
RUN --mount=type=bind,source=constraints/one.txt,target=/c cat /c > /versions
COPY --link --from=build /word /word
"""


@dataclass
class Tiny:
    """A small project and the engine that builds it; each build leaves a record."""

    engine: EmbeddedEngine
    root: Path
    arguments: dict[str, str]
    imports: list[str] = field(default_factory=list)

    def write(self, name: str, text: str) -> None:
        file = self.root / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    def edit(self, before: str, now: str) -> None:
        file = self.root / "Dockerfile"
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, now))

    def build(self) -> BuildRecord:
        command = [str(self.engine.buildx), "build", "--pull", "--progress", "rawjson"]
        command += ["--output", "type=cacheonly", "--provenance", "false"]
        for name, text in self.arguments.items():
            command += ["--build-arg", f"{name}={text}"]
        for reference in self.imports:
            command += ["--cache-from", f"type=registry,ref={reference}"]
        ended = subprocess.run(
            [*command, str(self.root)],
            env=self.engine.environment,
            capture_output=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr.decode()[-2000:]
        recorder = Recorder(live=False)
        recorder.feed(ended.stderr)
        recorder.end()
        return noted(recorder.record(BuildRecord("tiny", began="1")), self.root, self.arguments)


def noted(record: BuildRecord, root: Path, arguments: dict[str, str]) -> BuildRecord:
    name = "Dockerfile.ci" if (root / "Dockerfile.ci").exists() else "Dockerfile"
    files = {}
    for folder in ("constraints", "data", "files", "sources"):
        for path in (root / folder).rglob("*"):
            if path.is_file():
                executable = "755" if path.stat().st_mode & 0o100 else "644"
                text = path.read_bytes().hex()
                files[str(path.relative_to(root))] = f"100{executable} {text}"
    instructions = dockerfile.parse((root / name).read_text())
    return recipe.noted(record, fingerprint.gather(instructions, arguments, files))


@pytest.fixture
def tiny(engine: EmbeddedEngine, base: str, tmp_path: Path) -> Tiny:
    """The project, built once; a salt keeps other tests' steps out of its cache."""
    made = Tiny(engine, tmp_path / "tiny", {"BASE_IMAGE": base, "SALT": tmp_path.name})
    made.root.mkdir()
    made.write("Dockerfile", DOCKERFILE)
    for name in ("files/list.txt", "data/a.txt", "data/b.sh", "constraints/one.txt"):
        made.write(name, f"{name} {tmp_path}\n")
    made.write("constraints/two.txt", "nobody reads this\n")
    return made


@pytest.fixture
def before(tiny: Tiny) -> BuildRecord:
    tiny.build()
    return tiny.build()


def told(before: BuildRecord, now: BuildRecord) -> dict[str, tuple[Cause, ...]]:
    return {miss.step: miss.causes for miss in explain(before, now).misses}


def test_a_first_build_says_so_and_the_same_again_says_nothing(tiny: Tiny) -> None:
    first = tiny.build()
    assert explanation.lines(explain(None, first)) == [
        "tiny: 8 of 8 steps ran: there is no earlier build to compare with"
    ]
    again = tiny.build()
    assert explanation.lines(explain(first, again)) == []
    tiny.write("constraints/two.txt", "still nobody\n")
    (tiny.root / "data/a.txt").touch()
    assert explanation.lines(explain(again, tiny.build())) == []


def test_a_changed_argument(tiny: Tiny, before: BuildRecord) -> None:
    tiny.arguments["WORD"] = "two"
    now = tiny.build()
    assert told(before, now) == {"build 3/4": (Cause(Why.ARGUMENT, "WORD", "one", "two"),)}
    (miss,) = explain(before, now).misses
    assert miss.consequences == ("build 4/4", "main 5/5")


def test_a_changed_instruction(tiny: Tiny, before: BuildRecord) -> None:
    tiny.edit("echo ready", "echo done")  # BuildKit's name for the step does not show this line
    assert told(before, tiny.build()) == {
        "build 3/4": (Cause(Why.INSTRUCTION, "line 8", "echo ready", "echo done"),)
    }


def test_a_new_instruction_and_one_of_the_environment(tiny: Tiny, before: BuildRecord) -> None:
    tiny.edit("COPY data /data", "RUN echo new\nENV LEVEL=2\nCOPY data /data")
    assert told(before, tiny.build()) == {
        "main 3/6": (Cause(Why.NEW, "line 16", now="RUN echo new"),)
    }
    between = tiny.build()
    tiny.edit("LEVEL=2", "LEVEL=3")
    assert told(between, tiny.build()) == {"main 5/6": (Cause(Why.ENVIRONMENT, "LEVEL", "2", "3"),)}


def test_a_changed_file_and_a_changed_mode(tiny: Tiny, before: BuildRecord) -> None:
    tiny.write("data/a.txt", "edited\n")
    edited = tiny.build()
    ((step, (cause,)),) = told(before, edited).items()
    assert (step, cause.why, cause.what) == ("main 3/5", Why.CONTENT, "data/a.txt")
    (tiny.root / "data/b.sh").chmod(0o755)
    assert told(edited, tiny.build()) == {
        "main 3/5": (Cause(Why.MODE, "data/b.sh", "100644", "100755"),)
    }


def test_each_stage_has_a_cause_of_its_own(tiny: Tiny, before: BuildRecord) -> None:
    tiny.write("files/list.txt", "edited\n")
    tiny.write("constraints/one.txt", "edited\n")
    found = explain(before, tiny.build())
    assert [(one.step, one.causes[0].what, one.consequences[:1]) for one in found.misses] == [
        ("files 1/1", "files/list.txt", ("build 4/4",)),
        ("main 4/5", "constraints/one.txt", ("main 5/5",)),
    ]


def test_a_moved_base(tiny: Tiny, engine: EmbeddedEngine, tmp_path: Path) -> None:
    reference = f"{engine.registry}/tests/moving-{tmp_path.name}:1"
    source = tiny.arguments["BASE_IMAGE"]

    def push(content: str) -> None:
        folder = tmp_path / "base"
        folder.mkdir(exist_ok=True)
        (folder / "Dockerfile").write_text(f"FROM {source}\nCOPY <<EOF /version\n{content}\nEOF\n")
        command = [str(engine.buildx), "build", "--provenance", "false", "--push"]
        subprocess.run(
            [*command, "--tag", reference, str(folder)],
            env=engine.environment,
            check=True,
            capture_output=True,
        )

    push("1")
    tiny.arguments["BASE_IMAGE"] = reference
    before = tiny.build()
    push("2")
    found = told(before, tiny.build())
    assert set(found) == {"build 2/4", "main 2/5"}
    for causes in found.values():
        (cause,) = causes
        assert (cause.why, cause.what) == (Why.BASE, reference)
        assert cause.before.startswith("sha256:")
        assert cause.now.startswith("sha256:")
        assert cause.before != cause.now


@pytest.fixture
def pruned(suite: Suite, before: BuildRecord) -> BuildRecord:
    suite.good("cache.prune", "--all")
    return before


def test_a_pruned_cache(tiny: Tiny, pruned: BuildRecord) -> None:
    found = told(pruned, tiny.build())
    assert found == dict.fromkeys(("files 1/1", "build 2/4", "main 2/5"), (Cause(Why.COLLECTED),))


def test_a_missing_cache_reference(tiny: Tiny, pruned: BuildRecord, engine: EmbeddedEngine) -> None:
    missing = f"{engine.registry}/tests/nowhere:cache"
    tiny.imports = [missing]
    found = told(pruned, tiny.build())
    assert set(found) == {"files 1/1", "build 2/4", "main 2/5"}
    for causes in found.values():
        (cause,) = causes
        assert (cause.why, cause.what) == (Why.COLLECTED, ""), "nobody has seen it there"
        assert cause.now.startswith(f"{missing} (")
        assert "not found" in cause.now


@pytest.mark.nightly
def test_a_changed_constraint_of_the_ci_image(project: Suite) -> None:
    project = project.having(AIRFLOW_IMAGES_CI_TEST_PACKAGES="pytest")
    build = ("image.build", "--python", "3.11", "--airflow-extras", "ftp", "--progress", "rawjson")

    def made() -> BuildRecord:
        recorder = Recorder(live=False)
        recorder.feed(project.good(*build).stderr.encode())
        recorder.end()
        words = shlex.split(project.good(*build, "--dry-run").stdout)
        given = [words[at + 1] for at, word in enumerate(words) if word == "--build-arg"]
        arguments = {one.partition("=")[0]: one.partition("=")[2] for one in given}
        return noted(
            recorder.record(BuildRecord("ci-3.11-amd64", began="1")), project.root, arguments
        )

    made()
    before = made()
    assert explanation.lines(explain(before, before)) == []
    file = project.root / "constraints/constraints-3.11.txt"
    file.write_text(f"{file.read_text()}# another line\n")
    other = project.root / "constraints/constraints-3.12.txt"
    other.write_text(f"{other.read_text()}# another line\n")
    now = made()
    (miss,) = explain(before, now).misses
    (cause,) = miss.causes
    assert (cause.why, cause.what) == (Why.CONTENT, "constraints/constraints-3.11.txt")
    text = (project.root / "Dockerfile.ci").read_text().splitlines()
    assert text[miss.line - 1].startswith("RUN --mount=type=bind,source=constraints/")
    assert miss.consequences == ("main 9/10", "main 10/10")
