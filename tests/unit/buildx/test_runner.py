"""A build is tried until it is made; the stand-in for buildx says what the real one was seen to."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
import specs
from listening import Heard

from build_tasks import process
from build_tasks.buildx import attempt, cache_errors, runner
from build_tasks.buildx.attempt import Listener
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import (
    CommandError,
    CommandTimeout,
    DiskError,
    EngineError,
    ImagesError,
    Interrupted,
    MissingProgram,
    StepError,
)
from build_tasks.history.record import BuildRecord
from build_tasks.history.vertex import Moment
from build_tasks.model import cache_backends
from build_tasks.model.build import BuildSpec, Output
from build_tasks.model.cache import CachePlan
from build_tasks.model.matrix import Platform
from build_tasks.process import Command, Completed

STREAMS = Path(__file__).parents[2] / "data" / "streams" / "0.29"
CACHE = "localhost:5000/airflow/ci:cache"
READ = cache_backends.registry(CACHE)
DRAWS = Heard(takes_events=False)
LOST = b"ERROR: failed to build: failed to solve: short read: expected 9 bytes but got 8: EOF\n"


def stream(name: str) -> bytes:
    return gzip.decompress((STREAMS / f"{name}.txt.gz").read_bytes())


def spec(tmp_path: Path, **changes: object) -> BuildSpec:
    given = {
        "dockerfile": Path("/p/Dockerfile.ci"),
        "context": Path("/p"),
        "platform": Platform.AMD64,
        "tags": ("r/i:latest",),
        "arguments": (("URL", "https://me:pw@example.org"), ("COMMIT_SHA", "0ee8818")),
        "branch": "main",
        "cache": CachePlan((READ,), READ.for_export(())),
        "kind": Output.PUSH,
        "metadata": tmp_path / "metadata.json",
        **changes,
    }
    return specs.make(**given)


class Buildx:
    """Stands in for process.stream and process.run: each command gets the next answer."""

    def __init__(
        self, *answers: tuple[int, bytes], history: bytes | None = None, manifest: bool = True
    ) -> None:
        self.answers = list(answers)
        self.manifest = manifest
        self.history = history
        self.commands: list[Command] = []
        self.asked: list[Command] = []

    def stream(
        self, command: Command, *, take: Callable[[bytes], None] | None = None, **_: object
    ) -> Completed:
        self.commands.append(command)
        code, said = self.answers.pop(0)
        if take:
            take(said)
        if not code:
            metadata = {
                "containerimage.digest": "sha256:1",
                "buildx.build.ref": "default/default/x",
            }
            failed = b'"exporting cache' in said and b"error writing" in said
            if self.manifest and not failed:
                metadata["cache.manifest"] = "{}"
            path = Path(command[command.index("--metadata-file") + 1])
            path.write_text(json.dumps(metadata))
        return Completed(command, code, "", said.decode())

    def run(self, command: Command, **_: object) -> Completed:
        self.asked.append(command)
        if command[1] == "version":
            return Completed(command, 0, "github.com/docker/buildx 0.29.1 x", "")
        if self.history is None:
            raise CommandTimeout("no end after 20 s")  # a node hangs
        return Completed(command, 0, "", self.history.decode())


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for its version has to be there."""
    (tmp_path / "docker-buildx").touch()
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def client() -> Client:
    return Client("docker", ("docker-buildx",), {"BUILDX_CONFIG": "/c"})


def use(patch: pytest.MonkeyPatch, fake: Buildx) -> Buildx:
    patch.setattr(process, "stream", fake.stream)
    patch.setattr(process, "run", fake.run)
    return fake


def test_the_record_of_an_own_image_has_its_name(tmp_path: Path, client: Client) -> None:
    record = runner.new_record(client, spec(tmp_path, name="dags"))
    assert (record.identity, record.kind) == ("dags-3.11-amd64", "dags")


def test_a_listener_hears_lines_and_steps_and_the_record_has_everything(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = use(monkeypatch, Buildx((0, stream("first"))))
    heard = Heard()
    noted: list[BuildRecord] = []
    record = runner.build(client, spec(tmp_path), heard, note=noted.append)
    assert fake.commands[0][fake.commands[0].index("--progress") + 1] == "rawjson"
    assert noted == [record]
    assert (record.kind, record.python, record.platforms) == ("ci", "3.11", ("linux/amd64",))
    assert (record.digest, record.output, record.builder) == ("sha256:1", "push", "default")
    assert (record.outcome, record.attempts) == ("built", 1)
    assert (record.branch, record.commit) == ("main", "0ee8818")
    assert record.arguments["URL"] == "https://me:***@example.org"
    assert "pw@" not in record.command
    assert len(record.steps) > 5
    (command,) = heard.commands
    assert command.startswith("env BUILDX_CONFIG=/c docker-buildx build ")
    assert f"--metadata-file {tmp_path}/metadata.json" in command
    assert {type(event.moment) for event in heard.events} == {Moment}
    assert ("step one",) in [event.log for event in heard.events]
    assert any(event.moment is Moment.WARNING for event in heard.events)
    assert heard.messages == []
    (note,) = cache_errors.notes(record, spec(tmp_path))
    assert note == f"no cache yet: {CACHE} (first build of this branch), this build writes it"
    assert cache_errors.strict(record, spec(tmp_path)) is None


def test_a_failed_step_has_its_last_line_in_the_error_and_in_the_record(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Buildx((1, stream("failed"))))
    heard = Heard()
    noted: list[BuildRecord] = []
    with pytest.raises(StepError, match=r"^ci-3.11-amd64: line 3 \(step .*, exit code 42\)$"):
        runner.build(client, spec(tmp_path), heard, note=noted.append)
    (failed,) = [event for event in heard.events if event.moment is Moment.FAILED]
    assert failed.log[-1] == "line 3"
    assert (noted[0].outcome, noted[0].failure) == ("failed", "step")
    assert noted[0].steps


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MissingProgram("cannot start docker-buildx: gone"), "program"),
        (OSError(28, "No space left on device", "/x"), "disk"),
        (RuntimeError("x"), "runtimeerror"),
    ],
)
def test_the_record_and_the_table_name_the_class_of_an_error_alike(
    tmp_path: Path,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    kind: str,
) -> None:
    monkeypatch.setattr(process, "stream", Mock(side_effect=error))
    noted: list[BuildRecord] = []
    with pytest.raises(type(error)):
        runner.build(client, spec(tmp_path), Heard(), note=noted.append)
    assert (noted[0].outcome, noted[0].failure) == ("failed", kind)


def test_an_error_that_is_json_keeps_its_cause(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Buildx((1, b'{"level":"error","msg":"no space left on device"}\n')))
    with pytest.raises(DiskError, match="no space left on device"):
        runner.build(client, spec(tmp_path), Listener())


def test_a_display_of_buildkit_that_fails_ends_in_the_log(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = b" > [2/2] RUN x:\n0.2 why\n------\nERROR: failed to solve: nothing\n"
    use(monkeypatch, Buildx((1, b"#1 [internal] x\n------\n" + end)))
    heard = Heard(takes_events=False)
    with pytest.raises(CommandError, match="nothing"):
        runner.build(client, spec(tmp_path, progress="plain"), heard)
    assert [line.text for line in heard.lines] == end.decode().splitlines()


def test_a_cache_that_breaks_a_build_is_left_out(
    tmp_path: Path,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = use(monkeypatch, Buildx((1, LOST), (0, b"")))
    heard = Heard()
    built = runner.build(client, spec(tmp_path, cache=CachePlan((READ,))), heard)
    assert "--cache-from" in fake.commands[0]
    assert "--cache-from" not in fake.commands[1]
    assert built.attempts == 2
    (note,) = cache_errors.notes(built, spec(tmp_path))
    assert note == (
        f"warning: the cache {CACHE} was not read: short read: expected 9 bytes but got 8: EOF"
    )
    assert heard.messages == [
        f"a layer of the cache {CACHE} could not be fetched (short read: expected 9 bytes but got "
        "8: EOF): retrying without that cache"
    ]
    assert len(heard.commands) == 2


def exported(*, error: str = "", name: str = "exporting to GitHub Actions Cache") -> bytes:
    """Return the events of a build whose cache goes where buildx's metadata do not say it."""
    when = {"started": "2026-01-01T00:00:00Z", "completed": "2026-01-01T00:00:01Z"}
    vertex = {"digest": "sha256:9", "name": name, "error": error, **when}
    return json.dumps({"vertexes": [vertex]}).encode() + b"\n"


GHA = cache_backends.parse("type=gha,scope=x", "--cache-to", write=True).for_export(())
INLINE = cache_backends.parse("type=inline", "--cache-to", write=True).for_export(())


@pytest.mark.parametrize(
    "case",
    [
        (GHA, exported(), None),
        (GHA, exported(name="exporting cache to Amazon S3"), None),
        (GHA, exported(error="maximum timeout reached"), "maximum timeout reached"),
        (GHA, exported(name="exporting to image"), "BuildKit does not say why"),
        (INLINE, exported(name="exporting to image"), None),
    ],
)
def test_an_export_is_judged_by_its_vertex_whatever_its_backend(
    tmp_path: Path,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[cache_backends.Backend, bytes, str | None],
) -> None:
    target, events, error = case
    use(monkeypatch, Buildx((0, events), manifest=False))
    asked = spec(tmp_path, cache=CachePlan((), target))
    built = runner.build(client, asked, Listener())
    assert bool(cache_errors.export_problem(built)) is (error is not None)
    wrong = f"warning: the cache was not written to {target.reference}: {error}"
    assert cache_errors.notes(built, asked) == ([wrong] if error else [])


def test_an_inline_cache_needs_an_image(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Buildx((0, exported(name="x")), manifest=False))
    asked = spec(tmp_path, cache=CachePlan((), INLINE), kind=Output.NONE)
    assert cache_errors.export_problem(runner.build(client, asked, Listener()))


@pytest.mark.parametrize(("target", "fine"), [(GHA, True), (READ.for_export(()), False)])
def test_a_display_without_an_error_is_all_that_a_silent_builder_tells(
    tmp_path: Path,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    target: cache_backends.Backend,
    fine: bool,
) -> None:
    """An export to a registry is in the metadata; of others nothing more is known."""
    use(monkeypatch, Buildx((0, b"#1 DONE 0.1s\n"), manifest=False))
    asked = spec(tmp_path, cache=CachePlan((), target), progress="plain")
    built = runner.build(client, asked, DRAWS)
    assert bool(cache_errors.export_problem(built)) is not fine


def test_a_cache_that_was_left_out_before_is_in_the_record(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = use(monkeypatch, Buildx((1, LOST), (0, b"")))
    cache = CachePlan((READ,)).without({"r/gone:x": "r/gone:x: not found"})
    built = runner.build(client, spec(tmp_path, cache=cache), Listener())
    assert fake.commands[0].count("--cache-from") == 1
    gone, broken = built.imports
    assert (gone.reference, gone.absent, gone.left_out) == ("r/gone:x", True, True)
    assert (broken.reference, broken.absent, broken.left_out) == (CACHE, False, True)
    assert cache_errors.notes(built, spec(tmp_path, cache=cache))[0] == (
        "no cache yet: r/gone:x (first build of this branch)"
    )


@pytest.mark.parametrize("enabled", [True, False])
def test_a_record_says_whether_the_cache_was_disabled(tmp_path: Path, enabled: bool) -> None:
    client = Client("docker", ("docker-buildx",), {})
    record = runner.new_record(client, spec(tmp_path, cache=CachePlan(enabled=enabled)))
    assert record.cache_disabled is not enabled


def test_the_builder_is_asked_for_the_steps_that_buildkits_own_display_has_shown(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = use(monkeypatch, Buildx((0, b"[+] Building 1.0s FINISHED\n"), history=stream("cached")))
    built = runner.build(client, spec(tmp_path), DRAWS)
    assert fake.commands[0][fake.commands[0].index("--progress") + 1] == "auto"
    assert built.steps
    assert fake.asked[-1] == (
        *("docker-buildx", "history", "logs", "--builder", "default"),
        *("--progress", "rawjson", "x"),
    )


def test_a_builder_of_several_nodes_is_not_asked_for_the_past(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = use(monkeypatch, Buildx((0, b"[+] Building 1.0s FINISHED\n"), history=stream("cached")))
    one = spec(tmp_path, multi_node=True)
    assert runner.build(client, one, DRAWS).steps == ()
    assert fake.asked == []


DRAWN = b" => ERROR importing cache manifest from localhost:5000/airf  0.0s\n"


def test_what_a_terminal_leaves_open_the_history_says(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Buildx((0, DRAWN), history=stream("first")))
    built = runner.build(client, spec(tmp_path), DRAWS)
    assert cache_errors.notes(built, spec(tmp_path)) == [
        f"no cache yet: {CACHE} (first build of this branch), this build writes it"
    ]


@pytest.mark.parametrize("old", [False, True])
def test_without_a_history_the_display_is_all_that_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    client = Client("docker", ("docker-buildx",), {})
    if old:
        monkeypatch.setattr(attempt, "HISTORY", (99,))
    use(monkeypatch, Buildx((0, DRAWN)))
    built = runner.build(client, spec(tmp_path), DRAWS)
    (note,) = cache_errors.notes(built, spec(tmp_path))
    assert note == f"warning: the cache {CACHE} was not read: BuildKit does not say why"


def test_a_cache_that_was_not_written_has_a_reason_in_any_case(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Buildx((0, b'"exporting cache error writing')))
    one = spec(tmp_path, progress="quiet", strict_cache=True)
    built = runner.build(client, one, DRAWS)
    assert cache_errors.export_problem(built)
    assert cache_errors.notes(built, one) == [
        f"warning: the cache was not written to {CACHE}: BuildKit does not say why"
    ]
    assert cache_errors.strict(built, one)


def test_a_build_that_is_stopped_is_recorded_as_cancelled(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> Completed:
        raise Interrupted

    monkeypatch.setattr(process, "stream", stop)
    noted: list[BuildRecord] = []
    with pytest.raises(Interrupted):
        runner.build(client, spec(tmp_path), Listener(), note=noted.append)
    assert noted[0].outcome == "cancelled"


def test_metadata_go_elsewhere_where_their_folder_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    asked = spec(tmp_path, metadata=tmp_path / "file" / "x.json")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    moved = runner._with_metadata(asked)
    assert moved.run.metadata == tmp_path / "temporary" / "x.json"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    with pytest.raises(DiskError, match=rf"^ci-3.11-amd64: {tmp_path}/file cannot be written: "):
        runner._with_metadata(asked)


class Streams:
    """Stands in for process.stream: ends with an error, or writes the metadata that it has."""

    def __init__(self, *errors: str, metadata: object = None) -> None:
        self.errors = list(errors)
        self.metadata = metadata
        self.count = 0

    def __call__(
        self, command: Command, *, take: Callable[[bytes], None], **_: object
    ) -> Completed:
        self.count += 1
        error = self.errors.pop(0) if self.errors else ""
        take(error.encode())
        if self.metadata is not None:
            path = Path(command[command.index("--metadata-file") + 1])
            path.write_text(json.dumps(self.metadata))
        return Completed(command, 1 if error else 0, "", error)


def test_a_build_returns_its_digest(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = {"containerimage.digest": "sha256:1", "cache.manifest": "{}"}
    monkeypatch.setattr(process, "stream", Streams(metadata=metadata))
    built = runner.build(client, spec(tmp_path), Listener())
    assert (built.identity, built.digest) == ("ci-3.11-amd64", "sha256:1")
    assert not cache_errors.export_problem(built)


def test_metadata_of_an_earlier_build_is_ignored(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = spec(tmp_path)
    one.run.metadata.write_text('{"containerimage.digest": "sha256:old"}')
    monkeypatch.setattr(process, "stream", Streams())
    assert runner.build(client, one, Listener()).digest == ""


RACE = (
    'ERROR: failed to build: failed to solve: failed to prepare extraction snapshot "extract-1 '
    'sha256:61": parent snapshot sha256:1c does not exist: not found'
)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RACE, "the engine's image store collected a layer"),  # seen: moby/buildkit#6521
        (
            'ERROR: failed to build: failed to solve: image "docker.io/l/a:1": already exists',
            "another build loaded an image of this name at the same time",
        ),
    ],
)
def test_a_build_that_lost_a_race_in_the_engine_is_repeated(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch, error: str, message: str
) -> None:
    monkeypatch.setattr(process, "stream", Streams(error))
    heard = Heard()
    assert runner.build(client, spec(tmp_path), heard).attempts == 2
    (said,) = heard.messages
    assert said.startswith(message)
    assert said.endswith(": retrying")


def test_what_ran_before_a_build_was_repeated_is_in_its_record(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = stream("first") + RACE.encode()
    use(monkeypatch, Buildx((1, first), (0, stream("cached"))))
    record = runner.build(client, spec(tmp_path), Listener())
    assert record.attempts == 2
    assert sorted((step.number, step.ran) for step in record.dockerfile_steps) == [
        (2, True),
        (3, True),
        (4, True),
    ]


def test_a_race_that_is_lost_every_time_is_a_failure(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = Streams(*[RACE] * 10)
    monkeypatch.setattr(process, "stream", streams)
    with pytest.raises(ImagesError, match="parent snapshot"):
        runner.build(client, spec(tmp_path), Listener())
    assert streams.count == runner.RACES + 1


#: What BuildKit 0.25 says of a step whose files are gone: to a step or an export above it, to a
#: COPY --from or a bind mount, and after a restart.
LOST_FILES = (
    "failed to commit wqm151i9orfxtllih5vbtgct3 to q1k2qt02dajkt5qmbarankq3u during finalize: "
    "failed to stat active key during commit: snapshot wqm151i9orfxtllih5vbtgct3 does not exist: "
    "not found",
    "failed to compute cache key: failed to calculate checksum of ref yt08i76wlt5h8nygo3x06b75t::"
    "kqqu3fh94z9l0k03stf62qlsm: snapshot udwtzyyuoigz130fxpjh8eoa8 does not exist: not found",
    "failed to prepare ai8crdlgnyz04v5nt47qi4ifg as 7q0x2r8vd5mbl3l1kz1y9cq4n: parent snapshot "
    "ai8crdlgnyz04v5nt47qi4ifg does not exist: not found",
)
FAILED = "ERROR: failed to build: failed to solve: "


@pytest.mark.parametrize("error", LOST_FILES)
@pytest.mark.parametrize("takes_events", [True, False])
def test_a_build_whose_cached_step_has_lost_its_files_is_made_again_without_cached_steps(
    tmp_path: Path,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    error: str,
    takes_events: bool,
) -> None:
    heard = Heard(takes_events=takes_events)
    fake = use(monkeypatch, Buildx((1, f"{FAILED}{error}\n".encode()), (0, b"")))
    built = runner.build(client, spec(tmp_path), heard)
    assert ["--no-cache" in command for command in fake.commands] == [False, True]
    assert (built.outcome, built.attempts, built.cache_disabled) == ("built", 2, True)
    assert not cache_errors.export_problem(built)
    assert heard.messages == [
        "the builder has lost the files of a cached step, perhaps when a build was cancelled: "
        "building again without cached steps"
    ]


def test_a_cache_that_was_not_written_for_lack_of_a_steps_files_is_written_by_another_build(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = exported(name="exporting cache to registry", error=LOST_FILES[0])
    fake = use(monkeypatch, Buildx((0, lost), (0, exported(name="exporting cache to registry"))))
    built = runner.build(client, spec(tmp_path), Listener())
    assert ["--no-cache" in command for command in fake.commands] == [False, True]
    assert built.attempts == 2
    assert not cache_errors.export_problem(built)


@pytest.mark.parametrize("error", LOST_FILES)
def test_files_that_are_lost_without_cached_steps_are_a_failure_of_the_engine(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    streams = Streams(*[FAILED + error] * 9)
    monkeypatch.setattr(process, "stream", streams)
    with pytest.raises(EngineError, match="build once with --cache-mode disabled"):
        runner.build(client, spec(tmp_path), Listener())
    assert streams.count == 2


def test_a_failed_build_has_its_class(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "stream", Streams('ERROR: no builder "b" found'))
    with pytest.raises(EngineError, match='no builder "b" found'):
        runner.build(client, spec(tmp_path), Listener())
