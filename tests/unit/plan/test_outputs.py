"""What happens to the images of builds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import specs

from build_tasks.buildx import imagetools
from build_tasks.buildx.toolchain import Client
from build_tasks.config.options import Options
from build_tasks.errors import RegistryError, UsageError
from build_tasks.model.build import Candidate, DigestFile, ImageOutput, Output
from build_tasks.model.cache import CachePlan
from build_tasks.model.labels import Revision
from build_tasks.model.matrix import Platform
from build_tasks.plan import outputs
from build_tasks.plan.build_host import BuildHost
from build_tasks.plan.dockerfiles import Dockerfile
from build_tasks.plan.image_content import ImageContent
from build_tasks.plan.selection import Image
from build_tasks.plan.trust import CIRun

IMAGE = Image(specs.BUILD.kind, "3.11", slim=False)
FILE = Dockerfile(Path("x"), "x", "", ())
CONTENT = ImageContent(IMAGE, FILE, Path("/p"), "3.3.2", (), {}, (), Revision("abc"))
NAME = "r/a/main/ci/python3.11"


def parse(**options: str | bool) -> ImageOutput:
    given = Options({name.replace("_", "-"): value for name, value in options.items()})
    return outputs.parse(given, given.settings(), None)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, Output.LOAD),
        ({"load": True}, Output.LOAD),
        ({"push": True}, Output.PUSH),
        ({"push_by_digest": True}, Output.DIGEST),
        ({"push": True, "push_by_digest": True}, Output.DIGEST),
    ],
)
def test_a_build_has_one_output(options: dict[str, bool], kind: Output) -> None:
    assert parse(**options).kind is kind


def test_a_verb_may_decide_the_output() -> None:
    given = Options({"push": True, "load": True})
    assert outputs.parse(given, given.settings(), Output.NONE).kind is Output.NONE


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"push": True, "load": True}, "--push --load: a build has one output"),
        ({"push_by_digest": True, "load": True}, "--push-by-digest --load: a build has one"),
        ({"push_by_digest": True, "tag": "x"}, "--tag: the merge gives tags to what is pushed"),
        ({"sbom": True}, "--sbom: only a pushed image can have one: add --push"),
        ({"skip_unchanged": True}, "--skip-unchanged: only an image that is pushed under its"),
        ({"push_by_digest": True, "skip_unchanged": True}, "--skip-unchanged: only an image"),
        ({"tag": "a b"}, "--tag: expected a tag "),
    ],
)
def test_a_contradiction_is_one_line(options: dict[str, str | bool], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(**options)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("epoch", ["-1", "x", "1.5", "²", "253402300800", "9" * 5000])
def test_a_wrong_time_of_the_image_is_one_line(monkeypatch: pytest.MonkeyPatch, epoch: str) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "253402300799")
    assert parse().epoch == "253402300799"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    with pytest.raises(UsageError, match=r"^SOURCE_DATE_EPOCH: expected seconds since 1970, "):
        parse()


def test_an_untrusted_run_pushes_nothing_and_says_so() -> None:
    notes: list[str] = []
    run = CIRun("it is a fork's")
    pushed = parse(push=True, sbom=True, skip_unchanged=True)
    assert pushed.sbom
    made = outputs.restrict(pushed, run, notes.append, write_cache=True)
    assert (made.kind, made.sbom, made.skip_unchanged) == (Output.NONE, "", False)
    loaded = parse()
    assert outputs.restrict(loaded, run, notes.append, write_cache=True) == loaded
    assert outputs.restrict(loaded, run, notes.append, write_cache=False) == loaded
    assert outputs.restrict(pushed, CIRun(), notes.append, write_cache=True) == pushed
    assert notes == [
        "images and caches are not written: this run is not trusted: it is a fork's",
        "caches are not written: this run is not trusted: it is a fork's",
    ]


def test_several_platforms_are_pushed_by_digest_or_loaded_at_the_end() -> None:
    assert [outputs.per_platform(kind, 1) for kind in Output] == [*Output]
    several = {kind: outputs.per_platform(kind, 2) for kind in Output}
    assert several == {
        Output.LOAD: Output.NONE,
        Output.PUSH: Output.DIGEST,
        Output.DIGEST: Output.DIGEST,
        Output.NONE: Output.NONE,
    }


def test_a_missing_scanner_is_one_line(host: BuildHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def inspect(_: Client, reference: str) -> None:
        raise RegistryError(f"{reference}: no")

    monkeypatch.setattr(imagetools, "inspect", inspect)
    outputs.check_scanner("", host)
    with pytest.raises(UsageError, match=r"^--sbom: the scanner x:1 cannot be had: .*: no\)$"):
        outputs.check_scanner("x:1", host)


@pytest.mark.parametrize(
    ("requested", "tags"),
    [
        (ImageOutput(Output.LOAD), (f"{NAME}:latest",)),
        (ImageOutput(Output.PUSH, tags=("a", "b")), (f"{NAME}:a", f"{NAME}:b")),
        (ImageOutput(Output.NONE), ()),
    ],
)
def test_tags_follow_the_name_of_the_image(
    host: BuildHost, requested: ImageOutput, tags: tuple[str, ...]
) -> None:
    made = outputs.for_build(specs.BUILD, requested, CONTENT, host, ())
    assert (made.kind, made.image, made.branch, made.tags) == (requested.kind, NAME, "main", tags)
    assert made.digest_file is None


def test_unchanged_images_are_looked_for_under_the_first_and_the_default_tag(
    host: BuildHost,
) -> None:
    for tags, references in ((("a", "b"), ("a", "latest")), ((), ("latest",))):
        requested = ImageOutput(Output.PUSH, tags=tags, skip_unchanged=True)
        made = outputs.for_build(specs.BUILD, requested, CONTENT, host, ("v3",))
        *own, of_branch = made.reuse.candidates
        assert own == [Candidate(f"{NAME}:{tag}") for tag in references]
        assert of_branch.reference == f"{NAME.replace('/main/', '/v3/')}:latest"


def test_the_engines_own_builder_pushes_by_digest_under_a_tag(host: BuildHost) -> None:
    made = outputs.for_build(specs.BUILD, ImageOutput(Output.DIGEST), CONTENT, host, ())
    assert made.digest_file == DigestFile(specs.BUILD, NAME, "3.3.2", "abc")
    assert made.placeholder_tag == f"{NAME}:linux-amd64"


@pytest.mark.parametrize(
    ("version", "kind", "from_cache"),
    [
        ((0, 21), Output.PUSH, False),
        ((0, 22), Output.PUSH, True),
        ((0, 21), Output.LOAD, True),
    ],
)
def test_an_old_buildx_stores_the_image_before_it_is_pushed(
    host: BuildHost,
    monkeypatch: pytest.MonkeyPatch,
    version: tuple[int, ...],
    kind: Output,
    from_cache: bool,
) -> None:
    monkeypatch.setattr(Client, "version", version)
    made = outputs.for_build(specs.BUILD, ImageOutput(kind), CONTENT, host, ())
    assert made.push_from_cache is from_cache


def test_the_last_build_of_several_loads_all_platforms() -> None:
    last = specs.make(build=replace(specs.BUILD, platform=Platform.ARM64), kind=Output.NONE)
    made = outputs.load_all_platforms(last, [Platform.AMD64, Platform.ARM64])
    assert (made.identity, made.platforms) == ("ci-3.11", (Platform.AMD64, Platform.ARM64))
    assert (made.output.kind, made.cache) == (Output.LOAD, CachePlan())
    assert made.run.metadata.name == "ci-3.11.json"
