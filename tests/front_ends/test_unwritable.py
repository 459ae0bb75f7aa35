"""Files of a build besides its image cannot be written: one warning, and the build succeeds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_docker import Bench, listing

EVENT = json.dumps(
    {"vertexes": [{"digest": "sha256:a", "name": "[2/2] RUN a", "started": "2026-01-01T00:00:00Z"}]}
)
METADATA = json.dumps({"containerimage.digest": f"sha256:{'1' * 64}"})
BOTH = ("image.build", "--python", "3.9,3.11")
ONE = ("image.build", "--python", "3.11")


def in_the_way(bench: Bench, name: str) -> None:
    """Put a file where the suite expects a folder, which stops root as well."""
    place = bench.folder / "cache" / name
    place.parent.mkdir(exist_ok=True)
    place.write_text("")


def warnings(text: str) -> list[str]:
    return [line for line in text.splitlines() if "warning: " in line]


@pytest.mark.parametrize("task", [ONE, BOTH], ids=["one", "both"])
@pytest.mark.parametrize(
    ("name", "warning"),
    [
        ("logs", ".log: the log cannot be written: "),
        ("records", "warning: the record of the build is not kept: "),
        ("metadata", ""),
    ],
)
def test_a_folder_that_cannot_be_written_fails_no_build(
    bench: Bench, task: tuple[str, ...], name: str, warning: str
) -> None:
    in_the_way(bench, name)
    done = bench.invoke(*task, FAKE_METADATA=METADATA, FAKE_STDERR=EVENT)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    said = warnings(done.stderr)
    assert len(said) == bool(warning), said
    assert all(warning in line for line in said)
    assert (
        f"loaded ghcr.io/apache/airflow/main/ci/python3.11:latest sha256:{'1' * 64}" in done.stderr
    )
    assert not (bench.folder / "metadata").exists()


@pytest.mark.parametrize("task", [ONE, BOTH], ids=["one", "both"])
@pytest.mark.parametrize("where", ["missing/summary", "/dev/full"])
def test_a_step_summary_that_cannot_be_written_fails_no_build(
    bench: Bench, task: tuple[str, ...], where: str
) -> None:
    summary = str(bench.folder / where)
    done = bench.invoke(
        *task, FAKE_METADATA=METADATA, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=summary
    )
    assert done.returncode == 0, done.stderr
    (said,) = warnings(done.stderr)
    assert said.startswith(
        f"warning: the builds are not in the step's summary: GITHUB_STEP_SUMMARY: {summary} cannot"
    )
    assert done.stderr.count(f"sha256:{'1' * 64}") >= len(task[-1].split(","))


def test_without_a_cache_of_its_version_buildx_is_asked_again(bench: Bench) -> None:
    (bench.folder / "cache" / "buildx-version.json").mkdir(parents=True)
    done = bench.invoke(*ONE, FAKE_METADATA=METADATA)
    assert done.returncode == 0, done.stderr
    assert warnings(done.stderr) == []


@pytest.mark.parametrize("content", ["", "[1]", '{"a": ', "[" * 100_000, "\xff"])
def test_invalid_metadata_fails_no_build(bench: Bench, content: str) -> None:
    done = bench.invoke(*ONE, FAKE_METADATA=content)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("content", ["{}", '{"schema": 1, "identity": 7}', "[" * 100_000])
def test_an_invalid_record_fails_no_build(bench: Bench, content: str) -> None:
    assert bench.invoke(*ONE, FAKE_METADATA=METADATA, FAKE_STDERR=EVENT).returncode == 0
    (record,) = Path(bench.folder, "cache", "records").glob("*/*.json")
    record.write_text(content)
    done = bench.invoke(*ONE, FAKE_METADATA=METADATA, FAKE_STDERR=EVENT)
    assert done.returncode == 0, done.stderr
    (said,) = warnings(done.stderr)
    assert f"warning: ignored: {record}: not a record of a build: " in said


def test_an_unwritable_digest_file_fails_no_merge_of_the_same_run(bench: Bench) -> None:
    in_the_way(bench, "digests")
    place = str(bench.folder / "cache" / "digests")
    platforms = "linux/amd64,linux/arm64"
    both = ("--platform", platforms, "--push", "--digests", place)
    can = listing("default", "linux/amd64", "linux/arm64")
    digest = f"sha256:{'1' * 64}"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [
                {
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "digest": digest,
                    "size": 1,
                    "platform": {"os": "linux", "architecture": name},
                }
                for name in ("amd64", "arm64")
            ],
        }
    )
    done = bench.invoke(
        *("image.build", "--python", "3.11", *both),
        FAKE_METADATA=METADATA,
        FAKE_LS=can,
        FAKE_MANIFEST=manifest,
    )
    assert "Traceback" not in done.stderr
    assert [line for line in warnings(done.stderr) if f"{digest}, but " in line]
    # Without a merge in the same run the files are what was asked for.
    alone = bench.invoke(
        *("image.build", "--python", "3.11", "--push-by-digest", "--digests", place),
        FAKE_METADATA=METADATA,
    )
    assert alone.returncode == 6
    assert alone.stderr.splitlines()[-1].startswith(f"ci-3.11-amd64: {place}/ci-3.11-amd64.json ")
