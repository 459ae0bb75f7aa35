from __future__ import annotations

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build_tasks.errors import UsageError
from build_tasks.model import cache_backends
from build_tasks.model.cache_backends import Backend, BackendType

ZSTD = (("compression", "zstd"), ("compression-level", "1"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("r.io/a/b:cache", "type=registry,ref=r.io/a/b:cache"),
        ("type=registry,ref=r/a:c", "type=registry,ref=r/a:c"),
        ("type=gha,scope=x", "type=gha,scope=x"),
        ("type=s3,bucket=b,region=eu", "type=s3,bucket=b,region=eu"),
        ("type=azblob,account_url=https://x,name=n", "type=azblob,account_url=https://x,name=n"),
        ('type=local,"src=/a,b"', 'type=local,"src=/a,b"'),
    ],
)
def test_import_value_is_what_buildx_takes(text: str, value: str) -> None:
    assert cache_backends.parse(text, "--cache-from", write=False).value == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("type=inline", "type=inline"),
        ("type=gha", "type=gha,mode=max,ignore-error=true"),
        (
            "type=local,dest=/c,compression=gzip",
            "type=local,dest=/c,compression=gzip,"
            "mode=max,ignore-error=true,image-manifest=true,oci-mediatypes=true",
        ),
        (
            "r/a:c",
            "type=registry,ref=r/a:c,mode=max,ignore-error=true,image-manifest=true,"
            "oci-mediatypes=true,compression=zstd,compression-level=1",
        ),
        ("type=s3,bucket=b,mode=max", "type=s3,bucket=b,mode=max,ignore-error=true"),
        ("type=gha,new-option=1", "type=gha,new-option=1,mode=max,ignore-error=true"),
    ],
)
def test_export_has_mode_max_and_ignores_errors(text: str, value: str) -> None:
    assert cache_backends.parse(text, "--cache-to", write=True).for_export(ZSTD).value == value


@pytest.mark.parametrize(
    ("text", "write", "message"),
    [
        ("", False, "expected a value like type=registry,ref=HOST/PATH:TAG, got ''"),
        ('"a', False, "unexpected end of data"),
        (
            "type=registry,ref=",
            False,
            "like type=registry,ref=HOST/PATH:TAG, got 'ref='",
        ),
        ("type=ftp,ref=x", False, "unknown type 'ftp': choose registry, local, inline, gha"),
        ("ref=x", True, "unknown type '': choose registry"),
        ("type=gha,type=s3", True, "'type=gha,type=s3': attribute 'type' is given twice"),
        ("type=gha,scope=a,scope=b", True, "attribute 'scope' is given twice"),
        ("type=inline", False, "to read an inline cache, name its image: type=registry,ref="),
        ("type=registry", True, "type=registry needs ref=..."),
        ("type=local,dest=/x", False, "type=local needs src=..."),
        ("type=local,src=/x", True, "type=local needs dest=..."),
        ("r/a:c,mode=min", True, "HOST/PATH:TAG, got 'r/a:c'"),
        ("type=registry,ref=a,mode=min", True, "mode=min: is always max"),
        ("type=registry,ref=a,ignore-error=false", True, "ignore-error=false: is always true"),
        ("type=gha,token=abc", True, "leave it to ACTIONS_RUNTIME_TOKEN"),
        ("type=s3,bucket=b,secret_access_key=x", False, "secret_access_key: would be seen"),
        (
            "r/a:{arch}",
            True,
            "unknown placeholder in 'r/a:{arch}': choose {identity}, {kind}",
        ),
    ],
)
def test_invalid_value_is_one_line(text: str, write: bool, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        cache_backends.parse(text, "--cache-x", write=write)
    assert str(caught.value).startswith("--cache-x: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "abc" not in str(caught.value)


def test_each_build_has_its_own_scope_by_default() -> None:
    backend = Backend(BackendType.GHA)
    assert backend.for_build({"identity": "ci-3.9-amd64"}).value == "type=gha,scope=ci-3.9-amd64"
    named = cache_backends.parse("type=gha,scope=all-{python}", "p", write=True)
    assert named.for_build({"identity": "x", "python": "3.9"}).value == "type=gha,scope=all-3.9"


def test_registry_cache_is_named_by_its_reference() -> None:
    assert cache_backends.registry("r/a:c").reference == "r/a:c"
    assert Backend(BackendType.GHA, (("scope", "x"),)).reference == "type=gha,scope=x"


@given(st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs"])), min_size=1))
def test_csv_value_round_trips(values: list[str]) -> None:
    read = next(csv.reader([cache_backends.csv_value(values)]), [])
    assert values in (read, [""])
