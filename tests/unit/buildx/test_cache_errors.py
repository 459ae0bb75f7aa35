"""The texts are what BuildKit of Docker 28.5.2 and 26.1.5 wrote when a registry failed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import specs

from build_tasks.buildx import cache_errors
from build_tasks.errors import RegistryError
from build_tasks.history.record import BuildRecord, CacheUse, Step, StepKind
from build_tasks.model import cache_backends
from build_tasks.model.build import BuildSpec, Output
from build_tasks.model.cache import CachePlan
from build_tasks.model.matrix import Platform

ONE, TWO = "r:5000/a/b:cache", "r:5000/c/d:cache"
CONFIGURE = "failed to configure registry cache importer: "
ABSENT = CacheUse(ONE, f"{CONFIGURE}{ONE}: not found")
REFUSED = CacheUse(
    TWO, f"{CONFIGURE}unexpected status from HEAD request to http://r/v2/x: 401 Unauthorized"
)
UNWRITTEN = CacheUse(
    ONE, "error writing layer blob: unexpected status from POST request: 500 Internal\nunknown: x"
)
BUILT = BuildRecord("ci-3.11-amd64", digest="sha256:1")


def spec(*imports: str, export: str | None = None) -> BuildSpec:
    return specs.make(
        dockerfile=Path("/p/Dockerfile"),
        context=Path("/p"),
        platform=Platform.AMD64,
        tags=("r/i:1",),
        arguments=(),
        cache=CachePlan(
            tuple(map(cache_backends.registry, imports or (ONE, TWO))),
            cache_backends.registry(export).for_export(()) if export else None,
        ),
        kind=Output.PUSH,
        metadata=Path("/m.json"),
    )


def test_what_was_not_read_or_written_is_a_line_with_its_reason() -> None:
    record = replace(BUILT, imports=(ABSENT, REFUSED), export=UNWRITTEN)
    assert cache_errors.notes(record, spec()) == [
        f"no cache yet: {ONE} (first build of this branch)",
        f"warning: the cache {TWO} was not read: unexpected status from HEAD request to "
        "http://r/v2/x: 401 Unauthorized",
        f"warning: the cache was not written to {ONE}: unexpected status from POST request: "
        "500 Internal",
    ]
    (note,) = cache_errors.notes(replace(BUILT, imports=(ABSENT,)), spec(export=ONE))
    assert note == f"no cache yet: {ONE} (first build of this branch), this build writes it"
    fine = replace(BUILT, imports=(CacheUse(ONE),), export=CacheUse(ONE))
    assert cache_errors.notes(fine, spec()) == []


def test_a_layer_that_is_not_there_is_a_fault() -> None:
    gone = "could not fetch content descriptor sha256:1 from remote: not found"
    assert not CacheUse(ONE, gone).absent


@pytest.mark.parametrize(
    ("imports", "export", "said"),
    [
        ((CacheUse(ONE),), CacheUse(ONE), ""),
        ((), None, ""),
        ((ABSENT, CacheUse(TWO)), None, ""),
        ((ABSENT,), CacheUse(ONE), ""),
        ((ABSENT,), None, f"the cache {ONE} was not read: {ONE}: not found"),
        ((ABSENT, REFUSED), CacheUse(ONE), f"the cache {TWO} was not read: unexpected status"),
        ((CacheUse(ONE), REFUSED), None, f"the cache {TWO} was not read: unexpected status"),
        ((ABSENT,), UNWRITTEN, f"the cache was not written to {ONE}: unexpected status"),
    ],
)
def test_strictness_excuses_only_a_first_cache(
    imports: tuple[CacheUse, ...], export: CacheUse | None, said: str
) -> None:
    error = cache_errors.strict(replace(BUILT, imports=imports, export=export), spec())
    if said:
        assert type(error) is RegistryError
        assert said in str(error)
        assert str(error).startswith("ci-3.11-amd64: ")
        assert str(error).endswith("(--strict-cache; the image is built: sha256:1)")
    else:
        assert error is None


def test_strictness_says_that_an_image_without_a_digest_is_made() -> None:
    error = cache_errors.strict(BuildRecord("x", imports=(REFUSED,)), spec())
    assert str(error).endswith("(--strict-cache; the build succeeded)")


SOLVE = "ERROR: failed to build: failed to solve: "
COPY = "failed to copy: httpReadSeeker: failed open: "


@pytest.mark.parametrize(
    ("message", "names"),
    [
        (f"{SOLVE}short read: expected 105 bytes but got 104: unexpected EOF", [ONE, TWO]),
        (f"{SOLVE}commit failed: unexpected commit digest sha256:a, expected sha256:b", [ONE, TWO]),
        (
            "ERROR: failed to solve: failed to read expected number of bytes: unexpected EOF",
            [ONE, TWO],
        ),
        (
            f"{SOLVE}{COPY}unexpected status from GET request to "
            "http://r:5000/v2/a/b/blobs/sha256:1: 500 Internal Server Error\nunknown: x",
            [ONE],
        ),
        (
            f"{SOLVE}{COPY}unexpected status code https://r:5000/v2/c/d/blobs/sha256:1: 401",
            [TWO],
        ),
        (f"{SOLVE}{COPY}could not fetch content descriptor sha256:1: not found", [ONE, TWO]),
        (f"{SOLVE}{COPY}unexpected status from GET http://r/v2/base/blobs/sha256:1: 500", []),
        (f"{SOLVE}failed to push r/i:1: failed to copy: unexpected EOF", []),
        (f"{SOLVE}process did not complete successfully: exit code: 1", []),
        ("short read: expected 1 bytes", []),
    ],
)
def test_a_build_is_lost_to_the_caches_that_its_error_is_about(
    message: str, names: list[str]
) -> None:
    assert list(cache_errors.lost(spec(), f"before\n{message}\n", BUILT)) == names


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("r:5000/a/b", "a/b"),
        ("r:5000/a/b@sha256:12", "a/b"),
        ("r:5000/a/b:x@sha256:12", "a/b"),
        ("me/cache", "me/cache"),
        ("cache:x", "library/cache"),
    ],
)
def test_a_reference_needs_no_tag_to_be_suspected(reference: str, path: str) -> None:
    why = f"{SOLVE}{COPY}unexpected status from GET http://r/v2/{path}/blobs/sha256:1: 500"
    assert list(cache_errors.lost(spec(reference, "r/other:x"), why, BUILT)) == [reference]


def test_a_build_that_read_no_cache_is_lost_to_none() -> None:
    short = f"{SOLVE}short read: expected 105 bytes but got 104: unexpected EOF"
    one = replace(spec(), cache=CachePlan())
    assert cache_errors.lost(one, short, BUILT) == {}
    refused = replace(BUILT, imports=(REFUSED,))
    assert cache_errors.lost(spec(), short, refused) == {
        ONE: "short read: expected 105 bytes but got 104: unexpected EOF"
    }


def test_buildkits_own_displays_are_read() -> None:
    plain = (
        f"#9 importing cache manifest from {ONE}\n#8 importing cache manifest from {TWO}\n"
        f"#9 ERROR: {ABSENT.error}\n#8 DONE 0.1s\n#11 exporting cache to registry\n"
        "#11 ERROR: error writing layer blob: x\n#12 ERROR: other\n"
    )
    assert cache_errors.parse_display(plain, spec()) == ((ABSENT,), "error writing layer blob: x")
    drawn = (
        " => ERROR importing cache manifest from r:5000/a/b:ca  0.0s\n"
        " => ERROR exporting cache to registry  0.1s\n"
    )
    gha = "#5 exporting to GitHub Actions Cache\n#5 ERROR: maximum timeout reached\n"
    assert cache_errors.parse_display(gha, spec()) == ((), "maximum timeout reached")
    unsaid = CacheUse(ONE, cache_errors.UNKNOWN)
    assert cache_errors.parse_display(drawn, spec()) == ((unsaid,), cache_errors.UNKNOWN)
    assert cache_errors.parse_display("all well", spec()) == ((), "")


def test_a_cache_in_no_registry_keeps_the_name_that_a_person_gave_it() -> None:
    gha = cache_backends.parse("type=gha,scope=x", "p", write=False)
    local = [cache_backends.parse(f"type=local,src={path}", "p", write=False) for path in "ab"]
    one = replace(spec(), cache=CachePlan((gha, *local, cache_backends.registry(ONE))))

    def named(name: str) -> str:
        (use,) = cache_errors.with_names(BuildRecord("x", imports=(CacheUse(name),)), one).imports
        return use.reference

    assert named("gha:2083710910682386358") == gha.reference
    for name in ("local:77", "s3:5", ONE, gha.reference):  # one of two, of none, and as it was
        assert named(name) == name


def test_a_layer_that_no_cached_step_made_is_the_base_images() -> None:
    error = "short read: expected 100 bytes but got 90: unexpected EOF"
    base = Step("b", "[1/3] FROM r/python:3.11@sha256:1", StepKind.BASE)
    first = Step("1", "[2/3] RUN one", StepKind.STEP, inputs=("b", "unknown"), error=error)
    record = replace(BUILT, steps=(base, first))
    assert cache_errors.broken_base(record) == "r/python:3.11"
    assert cache_errors.lost(spec(), f"{SOLVE}failed to compute cache key: {error}", record) == {}
    cached = replace(first, error="", cached=True)
    second = Step("2", "[3/3] RUN two", StepKind.STEP, inputs=("1",), error=error)
    record = replace(BUILT, steps=(base, cached, second))
    assert cache_errors.broken_base(record) == ""
    assert cache_errors.lost(spec(), f"{SOLVE}failed to compute cache key: {error}", record)
    assert (
        cache_errors.broken_base(replace(BUILT, steps=(base, replace(first, error="exit 1")))) == ""
    )
    other = replace(base, digest="c")
    both = replace(first, inputs=("b", "c"))
    assert cache_errors.broken_base(replace(BUILT, steps=(base, other, both))) == ""
