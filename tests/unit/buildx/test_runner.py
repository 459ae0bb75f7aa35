"""A build is tried until it is made; the stand-in for buildx says what the real one was seen to."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import specs

from build_tasks import paths, process
from build_tasks.buildx import attempt, runner
from build_tasks.buildx.runner import Built
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import CommandTimeout, DiskError, ImagesError, Interrupted, StepError
from build_tasks.history.record import BuildRecord
from build_tasks.model import cache_backends
from build_tasks.model.build import BuildSpec, Output
from build_tasks.model.cache import CachePlan
from build_tasks.model.matrix import Platform
from build_tasks.process import Command, Completed

STREAMS = Path(__file__).parents[2] / "data" / "streams" / "0.29"
CACHE = "localhost:5000/airflow/ci:cache"
READ = cache_backends.registry(CACHE)
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


def test_a_pipe_gets_lines_a_file_the_rest_and_the_record_everything(
    tmp_path: Path,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake = use(monkeypatch, Buildx((0, stream("first"))))
    noted: list[BuildRecord] = []
    built = runner.build(client, spec(tmp_path), note=noted.append)
    assert fake.commands[0][fake.commands[0].index("--progress") + 1] == "rawjson"
    record = built.record
    assert noted == [record]
    assert (record.kind, record.python, record.platforms) == ("ci", "3.11", ("linux/amd64",))
    assert (record.digest, record.output, record.builder) == ("sha256:1", "push", "default")
    assert (record.outcome, record.attempts) == ("built", 1)
    assert (record.branch, record.commit) == ("main", "0ee8818")
    assert record.arguments["URL"] == "https://me:***@example.org"
    assert "pw@" not in record.command
    assert len(record.steps) > 5
    log = Path(record.log)
    assert log == paths.cache_folder() / "logs" / "ci-3.11-amd64.log"
    assert "step one" in log.read_text()
    assert "hunter2" not in log.read_text()
    shown = capsys.readouterr().err.splitlines()[1:]
    assert max(map(len, shown)) <= 120
    assert any(line.startswith("WARNING: InvalidDefaultArgInFrom") for line in shown)
    assert any(line.endswith("/airflow/ci:cache: not found") or "ERROR: " in line for line in shown)
    assert "hunter2" not in "".join(shown)
    (note,) = built.notes(spec(tmp_path))
    assert note == f"no cache yet: {CACHE} (first build of this branch), this build writes it"
    assert built.strict(spec(tmp_path)) is None


def test_a_failed_step_shows_its_last_lines_and_is_recorded(
    tmp_path: Path,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    use(monkeypatch, Buildx((1, stream("failed"))))
    noted: list[BuildRecord] = []
    with pytest.raises(StepError, match=r"failed with exit code 42: line 3$"):
        runner.build(client, spec(tmp_path), note=noted.append)
    shown = capsys.readouterr().err
    assert "#4 | line 3\n" in shown
    assert "#4 ERROR: process " in shown
    assert (noted[0].outcome, noted[0].failure) == ("failed", "step")
    assert noted[0].message.endswith("line 3")
    assert noted[0].steps


def test_a_cache_that_breaks_a_build_is_left_out(
    tmp_path: Path,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake = use(monkeypatch, Buildx((1, LOST), (0, b"")))
    built = runner.build(client, spec(tmp_path, cache=CachePlan((READ,))))
    assert "--cache-from" in fake.commands[0]
    assert "--cache-from" not in fake.commands[1]
    assert built.record.attempts == 2
    (note,) = built.notes(spec(tmp_path))
    assert note == (
        f"warning: the cache {CACHE} was not read: short read: expected 9 bytes but got 8: EOF"
    )
    said = capsys.readouterr().err
    assert f"a layer of the cache {CACHE} could not be fetched (short read: " in said


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
    built = runner.build(client, asked)
    assert built.cache_exported is (error is None)
    wrong = f"warning: the cache was not written to {target.reference}: {error}"
    assert built.notes(asked) == ([wrong] if error else [])


def test_an_inline_cache_needs_an_image(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Buildx((0, exported(name="x")), manifest=False))
    asked = spec(tmp_path, cache=CachePlan((), INLINE), kind=Output.NONE)
    assert not runner.build(client, asked).cache_exported


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
    assert runner.build(client, asked).cache_exported is fine


def test_a_cache_that_was_left_out_before_is_in_the_record(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = use(monkeypatch, Buildx((1, LOST), (0, b"")))
    cache = CachePlan((READ,)).without({"r/gone:x": "r/gone:x: not found"})
    built = runner.build(client, spec(tmp_path, cache=cache))
    assert fake.commands[0].count("--cache-from") == 1
    gone, broken = built.record.imports
    assert (gone.reference, gone.absent, gone.left_out) == ("r/gone:x", True, True)
    assert (broken.reference, broken.absent, broken.left_out) == (CACHE, False, True)
    assert built.notes(spec(tmp_path, cache=cache))[0] == (
        "no cache yet: r/gone:x (first build of this branch)"
    )


def test_somebody_else_may_be_told_the_lines(
    tmp_path: Path,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    use(monkeypatch, Buildx((0, stream("cached"))))
    told: list[str] = []
    built = runner.build(client, spec(tmp_path, progress="rawjson"), told.append)
    assert told[0].startswith("+ env BUILDX_CONFIG=/c docker-buildx build ")
    assert all(isinstance(json.loads(line), dict) for line in told[1:])
    assert built.record.steps
    assert built.record.log == ""
    assert capsys.readouterr().err == ""


def test_events_that_were_asked_for_pass_untouched(
    tmp_path: Path,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    use(monkeypatch, Buildx((0, stream("cached"))))
    built = runner.build(client, spec(tmp_path, progress="rawjson"))
    assert capfdbinary.readouterr().err.endswith(stream("cached"))
    assert built.record.steps


def test_buildkits_own_display_is_asked_for_no_more_than_it_leaves_open(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fake = use(monkeypatch, Buildx((0, b"[+] Building 1.0s FINISHED\n"), history=stream("cached")))
    built = runner.build(client, spec(tmp_path))
    assert fake.commands[0][fake.commands[0].index("--progress") + 1] == "auto"
    assert (fake.asked, built.record.steps) == ([], ())
    assert runner.complete(client, spec(tmp_path), built).steps
    assert fake.asked[-1] == (
        *("docker-buildx", "history", "logs", "--builder", "default"),
        *("--progress", "rawjson", "x"),
    )


def test_a_builder_of_several_nodes_is_not_asked_for_the_past(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fake = use(monkeypatch, Buildx((0, b"[+] Building 1.0s FINISHED\n"), history=stream("cached")))
    one = spec(tmp_path, multi_node=True)
    built = runner.build(client, one)
    assert runner.complete(client, one, built) == built.record
    assert fake.asked == []


DRAWN = b" => ERROR importing cache manifest from localhost:5000/airf  0.0s\n"


def test_what_a_terminal_leaves_open_the_history_says(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    use(monkeypatch, Buildx((0, DRAWN), history=stream("first")))
    built = runner.build(client, spec(tmp_path))
    assert built.notes(spec(tmp_path)) == [
        f"no cache yet: {CACHE} (first build of this branch), this build writes it"
    ]
    assert runner.complete(client, spec(tmp_path), built) is built.record


@pytest.mark.parametrize("old", [False, True])
def test_without_a_history_the_display_is_all_that_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    client = Client("docker", ("docker-buildx",), {})
    if old:
        monkeypatch.setattr(attempt, "HISTORY", (99,))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    use(monkeypatch, Buildx((0, DRAWN)))
    built = runner.build(client, spec(tmp_path))
    (note,) = built.notes(spec(tmp_path))
    assert note == f"warning: the cache {CACHE} was not read: BuildKit does not say why"


def test_a_cache_that_was_not_written_has_a_reason_in_any_case(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Buildx((0, b'"exporting cache error writing')))
    one = spec(tmp_path, progress="quiet", strict_cache=True)
    built = runner.build(client, one)
    assert not built.cache_exported
    assert built.notes(one) == [
        f"warning: the cache was not written to {CACHE}: BuildKit does not say why"
    ]
    assert built.strict(one)


def test_a_display_that_the_environment_asks_for_is_let_be(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDKIT_PROGRESS", "plain")
    fake = use(monkeypatch, Buildx((0, b"")))
    runner.build(client, spec(tmp_path))
    assert "auto" in fake.commands[0]


def test_a_build_that_is_stopped_is_recorded_as_cancelled(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> Completed:
        raise Interrupted

    monkeypatch.setattr(process, "stream", stop)
    noted: list[BuildRecord] = []
    with pytest.raises(Interrupted):
        runner.build(client, replace(spec(tmp_path)), note=noted.append)
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


CLIENT = Client("docker", ("docker-buildx",), {"BUILDX_CONFIG": "/c"})


def loaded(tmp_path: Path, **changes: object) -> BuildSpec:
    cache = CachePlan((cache_backends.registry("r/i:cache"),))
    given = {"python": "3.9", "kind": Output.LOAD, "cache": cache, "progress": "auto"}
    return spec(tmp_path, **{**given, **changes})


class Streams:
    """Stands in for process.stream: writes the metadata that BuildKit would, and ends."""

    def __init__(self, returncode: int, stderr: str = "", metadata: object = None) -> None:
        self.ended = (returncode, stderr)
        self.metadata = metadata
        self.commands: list[Command] = []

    def __call__(
        self, command: Command, *, take: Callable[[bytes], None] | None = None, **_: object
    ) -> Completed:
        self.commands.append(command)
        if take:
            take(self.ended[1].encode())
        if self.metadata is not None:
            path = Path(command[command.index("--metadata-file") + 1])
            path.write_text(json.dumps(self.metadata))
        return Completed(command, self.ended[0], "", self.ended[1])


def test_a_build_returns_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = {"containerimage.digest": "sha256:1", "cache.manifest": "{}"}
    monkeypatch.setattr(process, "stream", Streams(0, metadata=metadata))
    one = loaded(
        tmp_path, cache=CachePlan(export=cache_backends.registry("r/i:cache").for_export(()))
    )
    assert runner.build(CLIENT, one) == Built("ci-3.9-amd64", "sha256:1", True)


def test_metadata_of_an_earlier_build_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = loaded(tmp_path)
    one.run.metadata.write_text('{"containerimage.digest": "sha256:old"}')
    monkeypatch.setattr(process, "stream", Streams(0))
    assert runner.build(CLIENT, one).digest == ""


RACE = (
    'ERROR: failed to build: failed to solve: failed to prepare extraction snapshot "extract-1 '
    'sha256:61": parent snapshot sha256:1c does not exist: not found'
)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RACE, "the engine's image store collected a layer"),  # seen: moby/buildkit#6521
        (
            'ERROR: failed to build: failed to solve: image "docker.io/l/a:1": already exists',
            "another build loaded an image of this name at the same time",
        ),
    ],
)
def test_a_build_that_lost_a_race_in_the_engine_is_made_once_more(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: str,
    said: str,
) -> None:
    ended = [Streams(1, error), Streams(0)]
    monkeypatch.setattr(process, "stream", lambda *words, **how: ended.pop(0)(*words, **how))  # noqa: PLW0108 - each time the next
    assert runner.build(CLIENT, loaded(tmp_path)).identity == "ci-3.9-amd64"
    assert f"ci-3.9-amd64: {said}" in capsys.readouterr().err


def test_a_race_that_is_lost_again_and_again_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = Streams(1, RACE)
    monkeypatch.setattr(process, "stream", streams)
    with pytest.raises(ImagesError, match="parent snapshot"):
        runner.build(CLIENT, loaded(tmp_path))
    assert len(streams.commands) == runner.RACES + 1


def test_what_is_run_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    streams = Streams(0)
    monkeypatch.setattr(process, "stream", streams)
    runner.build(CLIENT, loaded(tmp_path))
    shown = process.quote(streams.commands[0], CLIENT.environment)
    assert capsys.readouterr().err == f"+ {shown}\n"
    assert shown.startswith("env BUILDX_CONFIG=/c docker-buildx build ")
