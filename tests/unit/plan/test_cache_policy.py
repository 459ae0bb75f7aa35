from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build_tasks.config import loading
from build_tasks.errors import UsageError
from build_tasks.model import cache_backends
from build_tasks.model.build import Output
from build_tasks.model.cache import CacheMode, CachePlan, Compression
from build_tasks.model.matrix import Build, ImageKind, Names, Platform
from build_tasks.plan import cache_policy, revision
from build_tasks.plan.cache_policy import CachePolicy
from build_tasks.plan.selection import Image
from build_tasks.plan.trust import CIRun

BUILD = Build(ImageKind.CI, "3.9", Platform.AMD64)
PULL = CIRun(branch="fix", base="v3-1-test")
FORK = CIRun("it is a fork's", "main", "v3-1-test")
#: The grammar of a reference: the OCI distribution specification, "Pulling manifests".
PATH = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


ALWAYS = "mode=max,ignore-error=true,image-manifest=true,oci-mediatypes=true"
MESSAGES: list[str] = []


@pytest.fixture(autouse=True)
def checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    MESSAGES.clear()
    monkeypatch.setattr(revision, "branch", lambda _: "work")


def settle(run: CIRun, *, writes: bool = False, **options: str | list[str]) -> CachePolicy:
    given = {key.replace("_", "-"): value for key, value in options.items()}
    chosen = loading.load(given, environment={})
    return cache_policy.resolve(chosen, run, write=writes, announce=MESSAGES.append)


def test_pull_request_reads_branch_base_and_main_and_writes_its_branch() -> None:
    found = settle(PULL, writes=True)
    assert found.read == ("fix", "v3-1-test", "main")
    assert found.write == "fix"


def test_push_to_main_reads_and_writes_main() -> None:
    found = settle(CIRun(branch="main"), writes=True)
    assert (found.read, found.write) == (("main",), "main")


def test_local_run_writes_the_branch_that_is_checked_out() -> None:
    assert settle(CIRun()).read == ("main",)
    found = settle(CIRun(), writes=True)
    assert (found.read, found.write) == (("work", "main"), "work")


def test_without_a_branch_no_cache_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(revision, "branch", lambda _: "")
    found = settle(CIRun(), writes=True, branch="v3")
    assert (found.read, found.write) == (("v3",), "")
    reason = "caches are not written: no branch is checked out: name a branch with --cache-branch"
    assert [reason] == MESSAGES
    assert settle(CIRun(), writes=True, cache_to="r/x:{branch}").write == ""
    assert [reason, reason] == MESSAGES
    assert settle(CIRun(), writes=True, cache_branch="v4").write == "v4"
    assert settle(CIRun(), writes=True, cache_to="r/x:y").write
    assert [reason, reason] == MESSAGES


def test_merge_queue_reads_the_cache_of_its_base() -> None:
    queue = CIRun(base="v3-1-test", no_cache="it is a queue")
    found = settle(queue, writes=True)
    assert (found.read, found.write) == (("v3-1-test", "main"), "")
    assert MESSAGES == ["caches are not written: it is a queue: name a branch with --cache-branch"]
    assert settle(queue, writes=True, cache_branch="q").write == "q"


def test_settings_take_precedence_over_ci() -> None:
    found = settle(PULL, writes=True, cache_branch="a", cache_base="b", branch="c")
    assert (found.read, found.write) == (("a", "b", "c"), "a")


def test_untrusted_run_reads_trusted_caches_and_writes_none() -> None:
    found = settle(FORK, writes=True, cache_from=["r/evil:x"], cache_to="r/x:y")
    assert (found.read, found.write, found.sources) == (("v3-1-test", "main"), "", ())
    plan = cache_policy.plan(found, Names("r", "a", "main"), BUILD)
    assert plan.export is None
    assert [place.reference for place in plan.imports] == [
        "r/a/v3-1-test/ci/python3.9:cache-linux-amd64",
        "r/a/main/ci/python3.9:cache-linux-amd64",
    ]


@pytest.mark.parametrize("run", [PULL, FORK])
def test_cache_imports_limit_the_branches(run: CIRun) -> None:
    assert settle(run, cache_imports="main").read == ("main",)
    found = settle(run, cache_imports="none", cache_from=["r/x:y"])
    assert (found.read, found.sources) == ((), ())


def check_export(
    cache_to: str | None, output: Output, *, write: str = "main", platforms: str = ""
) -> None:
    options = {"cache-to": cache_to, "platform": platforms or None}
    chosen = loading.load(options, environment={})
    policy = CachePolicy(write=write, target=chosen.cache_to)
    images = [Image(ImageKind.CI, python, slim=False) for python in ("3.9", "3.11")]
    cache_policy.check_export(policy, chosen, images, output)


def test_shared_cache_of_two_builds_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^--cache-to: ci-3\.9 and ci-3\.11 would write the same"):
        check_export("r/a:c", Output.NONE)
    with pytest.raises(UsageError, match=r"ci-3\.9-amd64 and ci-3\.9-arm64 would write the same"):
        check_export("r/a:{python}", Output.NONE, platforms="amd64,arm64")
    check_export("r/a:{identity}", Output.NONE, platforms="amd64,arm64")
    check_export("type=gha", Output.NONE)
    check_export("r/a:c", Output.NONE, write="")
    check_export(None, Output.NONE)


def test_inline_cache_without_an_image_is_refused() -> None:
    check_export("type=inline", Output.PUSH)
    with pytest.raises(UsageError, match=r"--cache-to: type=inline: .* this keeps no image"):
        check_export("type=inline", Output.NONE)


BRANCHES = st.one_of(
    st.text(min_size=1, max_size=300),
    st.text("ab/-_.A", min_size=1, max_size=12),
    st.from_regex(r"\A[a-z]{1,4}-[0-9a-f]{16}\Z"),
)


@given(st.lists(BRANCHES.filter(str.strip), min_size=2, max_size=6, unique=True))
def test_every_branch_has_a_valid_and_unique_reference(branches: list[str]) -> None:
    found = [Names("localhost:5000", "apache/airflow", name).cache(BUILD) for name in branches]
    assert len(set(found)) == len(branches)
    for reference in found:
        path, _, tag = reference.removeprefix("localhost:5000/").partition(":")
        assert PATH.fullmatch(path), reference
        assert TAG.fullmatch(tag), reference
        assert len(reference) <= 255


@pytest.mark.parametrize("branch", ["main", "v3-1-test", "v2.10", "a_b"])
def test_valid_branch_is_kept(branch: str) -> None:
    assert Names("r", "a", branch).image(BUILD) == f"r/a/{branch}/ci/python3.9"


def test_branch_cannot_take_the_shortened_name_of_another() -> None:
    long = Names("r", "a", "feature/" + "x" * 292).image(BUILD)
    taken = long.split("/")[2]
    assert taken.startswith("feature-xxx")
    assert Names("r", "a", taken).image(BUILD) != long


def reference(branch: str) -> str:
    return f"r/a/{branch}/ci/python3.9:cache-linux-amd64"


def planned(policy: CachePolicy) -> CachePlan:
    return cache_policy.plan(policy, Names("r", "a", "main"), BUILD)


def test_imports_keep_their_order_and_nothing_is_exported_by_default() -> None:
    assert planned(CachePolicy(read=("mine", "main"))).options() == (
        *("--cache-from", f"type=registry,ref={reference('mine')}"),
        *("--cache-from", f"type=registry,ref={reference('main')}"),
    )


def test_export_has_mode_max_and_ignores_errors() -> None:
    assert planned(CachePolicy(write="mine")).options() == (
        "--cache-to",
        f"type=registry,ref={reference('mine')},{ALWAYS},compression=zstd,compression-level=1",
    )


def test_gzip_is_forced() -> None:
    export = planned(CachePolicy(write="mine", compression=Compression.GZIP)).export
    assert export
    assert export.value.endswith(f"{ALWAYS},compression=gzip,force-compression=true")


def test_local_mode_needs_no_option() -> None:
    assert planned(CachePolicy(CacheMode.LOCAL, ("main",))).options() == ()


def test_disabled_cache_can_still_be_exported() -> None:
    assert planned(CachePolicy(CacheMode.DISABLED, ("main",))).options() == ("--no-cache",)
    renewed = planned(CachePolicy(CacheMode.DISABLED, ("main",), "main"))
    assert renewed.options()[:2] == ("--no-cache", "--cache-to")


def test_named_caches_replace_the_branches() -> None:
    policy = CachePolicy(
        read=("main",),
        write="main",
        sources=(cache_backends.parse("r/x:{identity}", "--cache-from", write=False),),
        target=cache_backends.parse("type=gha", "--cache-to", write=True),
    )
    assert planned(policy).options() == (
        *("--cache-from", "type=registry,ref=r/x:ci-3.9-amd64"),
        *("--cache-to", "type=gha,scope=ci-3.9-amd64,mode=max,ignore-error=true"),
    )


def test_an_own_image_is_the_image_in_the_name_of_a_cache() -> None:
    source = cache_backends.parse("r/{kind}:cache", "--cache-from", write=False)
    build = Build(ImageKind.PROD, "3.9", Platform.AMD64, name="dags")
    names = Names("r", "a/b", "main")
    plan = cache_policy.plan(CachePolicy(read=("main",), sources=(source,)), names, build)
    assert plan.options() == ("--cache-from", "type=registry,ref=r/dags:cache")
