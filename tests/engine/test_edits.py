"""Whether an image is out of date, and why steps ran: said of edits, and seen on the engine."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import specs
from edits import ARGUMENTS, EDITS, FILES, Edit
from suite import Suite

from build_tasks.buildx import runner
from build_tasks.buildx.attempt import Listener
from build_tasks.buildx.toolchain import Client
from build_tasks.engine import apt
from build_tasks.engine.state import EmbeddedEngine
from build_tasks.history import recipe
from build_tasks.history.explain import explain
from build_tasks.history.record import BuildRecord
from build_tasks.history.recorder import Recorder
from build_tasks.inputs import context, fingerprint
from build_tasks.inputs.context import Allowed
from build_tasks.model.build import Output
from build_tasks.model.cache import CachePlan
from build_tasks.model.matrix import Platform
from build_tasks.plan import build_inputs

TAG = "tests/edits:1"
#: Of the whole corpus, which is the nightly run's, every n-th.
SHARE = 5
CASES = [
    pytest.param(edit, id=edit.name, marks=[] if number % SHARE == 0 else [pytest.mark.nightly])
    for number, edit in enumerate(EDITS)
]


@dataclass
class Made:
    """A build: its inputs, what it did, and the image without what differs in every build."""

    fingerprint: str
    record: BuildRecord
    image: object


@dataclass
class Project:
    """A small project on the engine."""

    root: Path
    suite: Suite
    client: Client
    arguments: dict[str, str]

    def make(self, edit: Edit) -> Made:
        shutil.rmtree(self.root, ignore_errors=True)
        for name, text in {**FILES, **edit.files}.items():
            file = self.root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if text is not None:
                file.write_text(text)
                file.chmod(0o755 if edit.executable and name in edit.files else 0o644)
        (self.root / "Dockerfile").write_text(edit.dockerfile())
        sent = context.prepare(self.root, Allowed(), print)
        spec = build_inputs.add_fingerprint_label(
            specs.make(
                dockerfile=self.root / "Dockerfile",
                context=sent.folder,
                platform=Platform.parse(apt.architecture(), "here"),
                tags=(TAG,),
                arguments=tuple({**self.arguments, **edit.arguments}.items()),
                files=sent.files,
                cache=CachePlan(),
                kind=Output.LOAD,
                metadata=self.root.parent / "metadata.json",
                progress="rawjson",
            ),
            self.root,
        )
        records: list[BuildRecord] = []
        runner.build(self.client, spec, Listener(), note=records.append)
        assert spec.inputs.content
        record = recipe.noted(records[0], spec.inputs.content)
        return Made(spec.inputs.content.fingerprint, record, self.image())

    def image(self) -> object:
        (found,) = json.loads(self.suite.engine("image", "inspect", TAG))
        found["Config"]["Labels"].pop(fingerprint.LABEL)
        late = tuple(f"{name}=" for name in fingerprint.LATE)
        found["Config"]["Env"] = [e for e in found["Config"]["Env"] if not e.startswith(late)]
        return found["Config"], found["RootFS"]


@pytest.fixture(scope="module")
def project(
    engine: EmbeddedEngine, base: str, suite: Suite, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("edits")
    variables = {**engine.environment, "BUILDX_CONFIG": str(folder / "buildx")}
    client = Client(str(engine.docker), (str(engine.buildx),), variables)
    given = {"BASE_IMAGE": base, "SALT": secrets.token_hex(8), **ARGUMENTS}
    yield Project(folder / "project", suite, client, given)
    suite.engine("image", "rm", "--force", TAG)


@pytest.fixture(scope="module")
def before(project: Project) -> Made:
    """The project as it was; a second build, so that no step of its record ran."""
    project.make(Edit("none"))
    made = project.make(Edit("none"))
    assert not any(step.ran for step in made.record.steps)
    return made


@pytest.mark.parametrize("edit", CASES)
def test_check_and_explain_agree_with_buildkit(edit: Edit, project: Project, before: Made) -> None:
    now = project.make(edit)
    ran = [step.name for step in now.record.steps if step.ran]
    assert bool(ran or now.image != before.image) is edit.changes, ran
    changed = fingerprint.changed(before.fingerprint, now.fingerprint)
    assert bool(changed) is (edit.changes or edit.unseen)
    misses = explain(before.record, now.record).misses
    assert bool(misses) is bool(ran)
    kinds = {cause.why.value for miss in misses for cause in miss.causes}
    assert kinds == set(edit.why)


def test_a_failed_build_in_between_is_no_cause(project: Project, before: Made) -> None:
    """The steps that it did not reach are compared with the last build that ended well."""
    broken = Edit("broken", (("RUN echo more", "RUN exit 3 # more"),))
    with pytest.raises(Exception, match="exit 3"):
        project.make(broken)
    edited = Edit("edited", (("LEVEL=1", "LEVEL=77"),))
    (miss,) = explain(before.record, project.make(edited).record).misses
    assert [(cause.what, cause.now) for cause in miss.causes] == [("LEVEL", "77")]


def test_a_pruned_step_has_its_cause(project: Project, before: Made) -> None:
    project.suite.good("cache.prune", "--all")
    now = project.make(Edit("none"))
    other = replace(now.record, builder="other")
    found = explain(before.record, now.record).misses
    assert {cause.why.value for miss in found for cause in miss.causes} == {"collected"}
    found = explain(before.record, other).misses
    assert {cause.why.value for miss in found for cause in miss.causes} == {"builder"}


def test_a_step_that_two_builds_share_is_no_step_of_the_one_that_waits(
    project: Project, tmp_path: Path
) -> None:
    """BuildKit tells the second build of the first one's step, under the first one's name."""
    salt = secrets.token_hex(8)
    shared = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE} AS %s\nCOPY f /f\nRUN sleep 4 # shared\n"
    texts = {"one": "RUN echo one", "two": "RUN echo two\nRUN echo more"}
    records: dict[str, BuildRecord] = {}

    def build(name: str) -> None:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "f").write_text(salt)
        (folder / "Dockerfile").write_text(f"{shared % name}{texts[name]}\n")
        command = [*project.client.buildx, "build", "--progress", "rawjson", str(folder)]
        command += ["--output", "type=cacheonly", "--provenance", "false"]
        command += ["--build-arg", f"BASE_IMAGE={project.arguments['BASE_IMAGE']}"]
        environment = {**os.environ, **project.client.environment}
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        recorder = Recorder(live=False)
        recorder.feed(done.stderr)
        recorder.end()
        records[name] = recorder.record(BuildRecord(name))

    first = threading.Thread(target=build, args=("one",))
    second = threading.Timer(1.5, build, args=("two",))
    for thread in (first, second):
        thread.start()
    for thread in (first, second):
        thread.join()
    ran = {
        name: sorted(step.number for step in one.steps if step.ran) for name, one in records.items()
    }
    assert ran == {"one": [2, 3, 4], "two": [4, 5]}
    assert {step.number: step.cached for step in records["two"].steps if step.total == 5} == {
        2: True,
        3: True,
        4: False,
        5: False,
    }
