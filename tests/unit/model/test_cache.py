from __future__ import annotations

from build_tasks.model import cache_backends
from build_tasks.model.cache import CacheMode, CachePlan, CachePolicy, Compression, plan

PLACEHOLDERS = {"identity": "ci-3.9-amd64", "kind": "ci", "python": "3.9", "architecture": "amd64"}
ALWAYS = "mode=max,ignore-error=true,image-manifest=true,oci-mediatypes=true"


def reference(branch: str) -> str:
    return f"ghcr.io/apache/airflow/{branch}/ci/python3.9:cache-linux-amd64"


def planned(policy: CachePolicy) -> CachePlan:
    return plan(policy, reference, PLACEHOLDERS)


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


def test_left_out_import_keeps_its_reason() -> None:
    one, two = cache_backends.registry("r/a:1"), cache_backends.registry("r/b:2")
    left = CachePlan((one, two), two).without({"r/b:2": "gone"}).without({"r/a:1": "silent"})
    assert left == CachePlan((), two, left_out=(("r/b:2", "gone"), ("r/a:1", "silent")))


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
