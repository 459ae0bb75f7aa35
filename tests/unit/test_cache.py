from __future__ import annotations

from build_tasks.cache import CacheMode, CachePlan, plan

REFERENCE = "ghcr.io/apache/airflow/main/ci/python3.9:cache-linux-amd64"


def test_a_build_always_reads_its_reference_and_writes_nothing_unasked() -> None:
    assert plan(CacheMode.REGISTRY, REFERENCE, push=False).options() == (
        "--cache-from",
        f"type=registry,ref={REFERENCE}",
    )


def test_an_export_keeps_all_segments_and_never_fails_a_pushed_image() -> None:
    options = plan(CacheMode.REGISTRY, REFERENCE, push=True).options()
    assert options[2:] == (
        "--cache-to",
        f"type=registry,ref={REFERENCE},"
        "mode=max,ignore-error=true,image-manifest=true,oci-mediatypes=true",
    )


def test_a_local_cache_needs_no_option() -> None:
    assert plan(CacheMode.LOCAL, REFERENCE, push=False).options() == ()


def test_a_disabled_cache_is_not_read_but_can_be_renewed() -> None:
    assert plan(CacheMode.DISABLED, REFERENCE, push=False).options() == ("--no-cache",)
    renewed = plan(CacheMode.DISABLED, REFERENCE, push=True)
    assert renewed == CachePlan((), REFERENCE, enabled=False)
    assert renewed.options()[:2] == ("--no-cache", "--cache-to")
