"""Whatever stands in a file or comes from a program: no traceback, no hang, no memory without end.

Real samples are mutated, as text and as JSON, with a fixed seed, so that a failure comes again; and
hypothesis makes contents of its own, which it shrinks.
"""

from __future__ import annotations

import contextlib
import copy
import gzip
import io
import json
import random
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import archives
import checkouts
import hypothesis
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from build_tasks import paths
from build_tasks.builders import store
from build_tasks.buildx import imagetools
from build_tasks.check import content as image_content
from build_tasks.check import image_metadata
from build_tasks.config import loading
from build_tasks.config.project import SHIPPED as ROOT
from build_tasks.constraints import baseline, constraint_files, workspace
from build_tasks.constraints.workspace import Workspace
from build_tasks.engine import state
from build_tasks.engine.folders import Folders
from build_tasks.errors import ImagesError, from_os_error
from build_tasks.front import command_line
from build_tasks.front.verbs import VERBS
from build_tasks.history import journal, recipe, serialization
from build_tasks.history.explain import explain, explanation
from build_tasks.history.record import BuildRecord, Step, StepKind
from build_tasks.history.recorder import Recorder
from build_tasks.inputs import base_lock, dockerfile, dockerignore, file_hashes, fingerprint
from build_tasks.model.matrix import ImageKind
from build_tasks.publish import digests
from build_tasks.storage import registry_caches
from build_tasks.text.hints import FILE_VARIABLE
from build_tasks.verify import archive

#: Inputs of the nightly run, over all targets, and the share of them that always runs.
INPUTS, SHARE = 5_000, 0.08
#: Seconds of the processor for one input, and kilobytes that all of them may add.
LONGEST, MOST = 2.0, 300_000
DIGEST = f"sha256:{'a' * 64}"
LOCK = f"""\
schema = 1

[python."3.11"]
reference = "python:3.11"
digest = "{DIGEST}"
[python."3.11".platforms]
"linux/amd64" = "{DIGEST}"
"""
#: What JSON allows and nobody expects.
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1 << 70, 1e308, float("nan"), float("inf"), "", "x" * 5000),
    *("\ud800", "\x00", "../../etc", [], {}, [[]], [None], {"": None}, "9" * 400, -(1 << 63)),
)
#: Pieces of text that break what splits text.
PIECES = (
    *(b"", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\n", b"\r\n", b'"', b"'", b"\\", b"${", b"$"),
    *(b"[" * 3000, b"{" * 3000, b'{"a":' * 3000, b"9" * 6000, b"1e999", b"NaN", b"-", b"=", b"<<"),
    *(b"<<EOF", b"\\ud800", b"null", b"*" * 50, b"**/" * 20, b"..", b"%", b"\x1b[2J", b" " * 9000),
)


@dataclass(frozen=True)
class Target:
    """Something that reads.

    Args:
        name: what it is called.
        samples: what it reads, as it is.
        read: reads; it gets a folder of its own.
    """

    name: str
    samples: tuple[bytes, ...]
    read: Callable[[bytes, Path], object]


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def mutated(sample: bytes, dice: random.Random) -> bytes:
    """Return a sample with one to four mistakes in it."""
    try:
        value = json.loads(sample)
    except ValueError:
        value = None
    for _ in range(dice.randint(1, 4)):
        if isinstance(value, dict | list) and value and dice.random() < 0.7:
            value = with_odd(value, dice)
            sample = json.dumps(value).encode()
        else:
            sample = with_piece(sample, dice)
            value = None
    return sample


def with_odd(value: Any, dice: random.Random) -> Any:
    """Return JSON in which one value, or one key, is something else."""
    keys = [*(value if isinstance(value, dict) else range(len(value)))]
    key = dice.choice(keys)
    inner = value[key]
    if isinstance(inner, dict | list) and inner and dice.random() < 0.7:
        value[key] = with_odd(inner, dice)
    elif isinstance(value, dict) and dice.random() < 0.2:
        del value[key]
    else:
        value[key] = copy.deepcopy(dice.choice(ODD))
    return value


def with_piece(sample: bytes, dice: random.Random) -> bytes:
    """Return a text with a piece cut out, put in, doubled, or changed by a bit."""
    at = dice.randrange(len(sample) + 1)
    end = min(len(sample), at + dice.choice((1, 1, 5, 50)))
    how = dice.randrange(4)
    if how == 0:
        return sample[:at] + sample[end:]
    if how == 1:
        return sample[:at] + dice.choice(PIECES) + sample[end:]
    if how == 2 or at == len(sample):
        return sample[:end] + sample[at:end] * dice.choice((1, 3, 500)) + sample[end:]
    return sample[:at] + bytes([sample[at] ^ (1 << dice.randrange(8))]) + sample[at + 1 :]


def _settings(content: bytes, folder: Path) -> None:
    file = folder / "images.toml"
    file.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FILE_VARIABLE, str(file))
        loading.load()


def _options(content: bytes, _: Path) -> None:
    words = content.decode(errors="surrogateescape").split("\n")
    given = command_line.parse(VERBS["image.build"], [w for w in words if "-h" not in w], "session")
    given.settings()


def _constraints(content: bytes, folder: Path) -> None:
    file = folder / "constraints-3.11.txt"
    file.write_bytes(content)
    constraint_files.check(file, "3.11", "3.3.2")


def _baseline(content: bytes, folder: Path) -> None:
    file = folder / "baseline-3.11.txt"
    file.write_bytes(content)
    baseline.read(file)


def _digests(content: bytes, folder: Path) -> None:
    (folder / "one.json").write_bytes(content)
    digests.read(folder)


def _archive(content: bytes, folder: Path) -> None:
    file = folder / "one.tar.zst"
    file.write_bytes(content)
    with archive.opened(str(file)) as chunks:
        list(chunks)


def _saved_image(content: bytes, _: Path) -> None:
    archive._describe(archive._ForwardedArchive(iter([content]), io.BytesIO()), "file")


def _journal(content: bytes, folder: Path) -> None:
    file = folder / "record.json"
    file.write_bytes(content)
    for record in journal.read(file, lambda _: None):
        recipe.recorded(record)
        explanation.lines(explain(record, record))


def _events(content: bytes, _: Path) -> None:
    recorder = Recorder(live=False, on_event=lambda _: None, on_line=lambda _: None)
    recorder.feed(content)
    recorder.snapshot()
    recorder.end()
    assert isinstance(recorder.messages, str)
    serialization.to_text(recorder.record(BuildRecord("x")))


def _engine(content: bytes, folder: Path) -> None:
    folders = Folders(folder)
    folders.run = folder  # not in /run
    (folder / "running.json").write_bytes(content)
    found = state.read(folders)
    assert found is None or found.complete in {True, False}


def _image(content: bytes, _: Path) -> None:
    image_metadata.parse(content.decode(errors="replace"))


def _manifest(content: bytes, _: Path) -> None:
    imagetools.parse_index(content.decode(errors="replace"), "r/i:1")


def _cache(content: bytes, _: Path) -> None:
    registry_caches.parse("r/i:1", content.decode(errors="replace"))


def _branch_cache(content: bytes, _: Path) -> None:
    text = content.decode(errors="replace")
    image_content.cache_layers(as_json({"layers": []}).decode(), text, "r/i:1")
    image_content.cache_layers(text, as_json({"layers": []}).decode(), "r/i:1")


def _checkout(content: bytes, folder: Path) -> None:
    (folder / "pyproject.toml").write_bytes(content)
    try:
        with pytest.MonkeyPatch.context() as patch:
            if content.startswith(b"{"):  # TOML with a mistake is seldom TOML
                patch.setattr(paths, "parse_toml", paths.parse_json)
            _read_checkout(workspace.read(folder))
    except OSError as error:  # a name that is too long
        raise from_os_error(error) from None


def _read_checkout(found: Workspace) -> None:
    every = found.distributions.values()
    for each in every:
        workspace.version(found.root, each)
        names = [PurePosixPath(name) for name in workspace.metadata_files(found.root, [each])]
        assert not [name for name in names if name.is_absolute() or ".." in name.parts]
        for group in each.groups:
            workspace.group_requirements(each, group)
    extras = [(each, extra) for each in every for extra in each.extras or ()]
    workspace.requirements(found.distributions, extras=extras)


def _builder(content: bytes, folder: Path) -> None:
    (folder / "instances").mkdir(exist_ok=True)
    (folder / "instances" / "one").write_bytes(content)
    store.read(folder, "one")


def _dockerfile(content: bytes, _: Path) -> None:
    instructions = dockerfile.parse(content.decode(errors="replace"))
    files = {"sources/a": "100644 a", "constraints/constraints-3.11.txt": "100644 b"}
    arguments = {"AIRFLOW_PYTHON_VERSION": "3.11", "BASE_IMAGE": "b"}
    found = fingerprint.gather(instructions, arguments, files)
    assert found.fingerprint


def _index(content: bytes, folder: Path) -> None:
    (folder / "index.json").write_bytes(content)
    (folder / "a").write_text("a")
    file_hashes.look(folder, {"a": None}, file_hashes.read(folder), file_hashes.Index())


def _base_lock(content: bytes, folder: Path) -> None:
    (folder / base_lock.FILE).write_bytes(content)
    base_lock.write(folder, base_lock.read(folder))


def _ignored(content: bytes, _: Path) -> None:
    try:
        patterns = dockerignore.parse(content.decode(errors="replace").splitlines())
    except ValueError:
        return
    patterns.match("a/" * 50 + "b")


def _recorded() -> bytes:
    step = Step("sha256:1", "[main 2/2] RUN x", StepKind.STEP, "main", number=2, total=2)
    instructions = ("main 1 FROM b", "main 2 RUN x", "main 3 COPY a /b")
    one = BuildRecord("ci", began="1", steps=(step,), instructions=instructions, files={"a": "1 2"})
    return serialization.to_text(one).encode()


def targets() -> Iterator[Target]:
    digest_file = {
        "schema": 1, "identity": "ci-3.11-amd64", "image": "r/i", "kind": "ci", "python": "3.11",
        "platform": "linux/amd64", "slim": False, "airflow": "3.3.2", "commit": "c",
        "digest": DIGEST,
    }  # fmt: skip
    config = {
        "architecture": "amd64",
        "config": {"Labels": {"a": "b"}},
        "rootfs": {"diff_ids": ["x"]},
    }
    layer = {"digest": DIGEST, "size": 1, "mediaType": "m", "annotations": {"a": "b"}}
    entry = {**layer, "platform": {"os": "linux", "architecture": "amd64"}}
    node = {"Name": "n", "Endpoint": "e", "Platforms": [{"os": "linux", "architecture": "amd64"}]}
    streams = sorted((ROOT / "tests/data/streams").rglob("*.txt.gz"))
    dockerfiles = [(ROOT / kind.dockerfile).read_bytes() for kind in ImageKind]
    words = (
        b"--python\n3.11\n--platform\nlinux/amd64\n--cache-from\ntype=registry,ref=r/i:1\n--jobs\n2"
    )
    running = {
        "schema": 1, "release": "trixie", "registry": "127.0.0.1:1", "hub": False,
        "daemons": {"dockerd": {"pid": 1, "started": 1}}, "foreign": ["arm64"],
    }  # fmt: skip
    yield Target("settings", ((ROOT / "images.toml").read_bytes(),), _settings)
    yield Target("options", (words,), _options)
    pins = (ROOT / "constraints/constraints-3.11.txt").read_bytes()
    yield Target("constraints", (pins,), _constraints)
    yield Target("baseline", ((ROOT / "constraints/baseline-3.11.txt").read_bytes(),), _baseline)
    yield Target("digests", (as_json(digest_file),), _digests)
    yield Target("base.lock", (LOCK.encode(),), _base_lock)
    saved = archives.make("r/i:1", {"os": "linux", **config})
    frame = zstandard.compress(saved)
    yield Target("archive", (frame, b"\x50\x2a\x4d\x18\x01\0\0\0x" + frame), _archive)
    yield Target("saved image", (saved,), _saved_image)
    yield Target("journal", (_recorded(),), _journal)
    yield Target(
        "events", tuple(gzip.decompress(one.read_bytes())[:20_000] for one in streams), _events
    )
    yield Target("engine", (as_json(running),), _engine)
    yield Target("image", (as_json({"manifest": {"digest": DIGEST}, "image": config}),), _image)
    yield Target("manifest", (as_json({"schemaVersion": 2, "manifests": [entry]}),), _manifest)
    yield Target("cache", (as_json({"layers": [layer], "config": layer}),), _cache)
    of_branch = as_json({"layers": [{**layer, "blob": DIGEST, "parent": 1}]})
    yield Target("cache of a branch", (of_branch,), _branch_cache)
    project = checkouts.CORE.replace('broken = [{ include-group = "none" }]', "")
    project += '\n[tool.uv.workspace]\nmembers = [".", "a/*"]\nexclude = ["b"]\n'
    samples = (project.encode(), as_json(paths.parse_toml(project)))
    yield Target("checkout", samples, _checkout)
    yield Target(
        "builder", (as_json({"Name": "one", "Driver": "docker", "Nodes": [node]}),), _builder
    )
    yield Target("dockerfile", tuple(dockerfiles), _dockerfile)
    yield Target("index", (as_json([1, {"a": [1, 2, 3, 4, 5, None, "100644 a"]}, "x"]),), _index)
    yield Target("ignored", ((ROOT / ".dockerignore").read_bytes(),), _ignored)


TARGETS = [*targets()]

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)


def _keys() -> st.SearchStrategy[str]:
    """Return the keys of all samples, so that what is made gets past the first look-up."""
    found: set[str] = set()

    def collect(value: dict[str, Any] | list[Any]) -> None:
        if isinstance(value, dict):
            found.update(value)
        for item in value.values() if isinstance(value, dict) else value:
            if isinstance(item, dict | list):
                collect(item)

    for target in TARGETS:
        for sample in target.samples:
            with contextlib.suppress(ValueError):
                loaded = json.loads(sample)
                if isinstance(loaded, dict | list):
                    collect(loaded)
    return st.sampled_from(sorted(found)) | st.text(max_size=5)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=6)


_KEYS = _keys()
_CONTENTS = st.binary(max_size=400) | st.recursive(_SCALARS, _nested, max_leaves=20).map(as_json)


def _fuzz(target: Target, folder: Path, count: int) -> None:
    dice = random.Random(target.name)  # noqa: S311 - the same every time
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        content = mutated(dice.choice(target.samples), dice)
        began = time.process_time()
        try:
            target.read(content, folder)
        except ImagesError as error:
            message = str(error)
        except Exception as error:  # noqa: BLE001 - any of them is a traceback for a user
            pytest.fail(f"{target.name} {number}: {error!r}: {content[:300]!r}")
        else:
            message = ""
        assert len(message.splitlines()) <= 1, f"{target.name} {number}: {message}"
        took = time.process_time() - began
        assert took < LONGEST, f"{target.name} {number}: {took:.1f} s: {content[:300]!r}"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_what_is_wrong_is_one_line_at_most(target: Target, tmp_path: Path) -> None:
    _fuzz(target, tmp_path, round(INPUTS * SHARE / len(TARGETS)))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@given(data=st.data())
@hypothesis.settings(max_examples=25)
def test_any_content_is_one_line_at_most(
    target: Target, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = data.draw(_CONTENTS)
    message = ""
    try:
        target.read(content, tmp_path_factory.mktemp("made"))
    except ImagesError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1


@pytest.mark.nightly
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_what_is_wrong_is_one_line_at_most_all_night(target: Target, tmp_path: Path) -> None:
    _fuzz(target, tmp_path, -(-INPUTS // len(TARGETS)))
