"""Several platforms, merging, pruning and usage, as the real nox and invoke are told of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_docker import Bench, listing

BOTH = ("--platform", "linux/amd64,linux/arm64")
BUILD = ("image.build", "--python", "3.11", *BOTH)
IMAGE = "ghcr.io/apache/airflow/main/ci/python3.11"
CAN = "\n".join(listing(name, "linux/amd64", "linux/arm64") for name in ("default", "mine"))
DIGESTS = {"amd64": f"sha256:{'1' * 64}", "arm64": f"sha256:{'2' * 64}"}
METADATA = json.dumps({"containerimage.digest": DIGESTS["amd64"], "cache.manifest": "{}"})


def last(text: str) -> str:
    return text.strip().splitlines()[-1]


@pytest.fixture
def dedicated(bench: Bench) -> Bench:
    """With a builder that can push by digest."""
    write_builder(bench, "mine", "docker-container", "mine0")
    return bench


def platform(words: list[str]) -> str:
    """They run at once, so that their order says nothing."""
    return words[words.index("--platform") + 1]


def write_builder(bench: Bench, name: str, driver: str, *nodes: str) -> None:
    instances = bench.folder / "cache" / "builders" / name / "buildx" / "instances"
    instances.mkdir(parents=True, exist_ok=True)
    host = bench.environment["DOCKER_HOST"]
    each = [{"Name": node, "Endpoint": host} for node in nodes]
    said = {"Name": name, "Driver": driver, "Nodes": each}
    (instances / name).write_text(json.dumps(said))


def entry(architecture: str, digest: str) -> dict[str, Any]:
    return {"digest": digest, "platform": {"os": "linux", "architecture": architecture}}


def registry(bench: Bench, **holds: object) -> str:
    """Return a folder with what the fake's registry has."""
    folder = bench.folder / "registry"
    folder.mkdir(exist_ok=True)
    for name, content in holds.items():
        reference = f"{IMAGE}:{name}" if name not in DIGESTS else f"{IMAGE}@{DIGESTS[name]}"
        file = reference.replace("/", "_").replace(":", "_").replace("@", "_")
        (folder / file).write_text(json.dumps(content))
    return str(folder)


def whole(bench: Bench) -> str:
    parts = {name: {"manifests": [entry(name, f"sha256:{name}")]} for name in DIGESTS}
    merged = {"manifests": [one["manifests"][0] for one in parts.values()]}
    return registry(bench, **parts, latest=merged)


def write_parts(bench: Bench, *architectures: str, **changes: str) -> Path:
    folder = bench.folder / "digests"
    folder.mkdir(exist_ok=True)
    for architecture in architectures:
        said = {
            "schema": 1,
            "identity": f"ci-3.11-{architecture}",
            "image": IMAGE,
            "kind": "ci",
            "python": "3.11",
            "platform": f"linux/{architecture}",
            "slim": False,
            "airflow": "3.3.2",
            "commit": "",
            "digest": DIGESTS[architecture],
            **changes,
        }
        (folder / f"{said['identity']}.json").write_text(json.dumps(said))
    return folder


def test_each_platform_is_one_build_with_its_own_cache(dedicated: Bench) -> None:
    folder = dedicated.folder / "digests"
    done = dedicated.invoke(
        *(*BUILD, "--push", "--push-cache", "--builder", "mine", "--digests", str(folder)),
        FAKE_LS=CAN,
        FAKE_METADATA=METADATA,
        FAKE_REGISTRY=registry(dedicated),
    )
    assert done.returncode == 4  # the fake's registry does not keep what is pushed
    assert last(done.stderr) == (
        f"ci-3.11-amd64: the registry no longer has {IMAGE}@{DIGESTS['amd64']}: build it again"
    )
    first, second = sorted(dedicated.builds(), key=platform)
    for words, architecture in ((first, "amd64"), (second, "arm64")):
        assert f"linux/{architecture}" in words
        assert f"type=registry,ref={IMAGE}:cache-linux-{architecture}" in words
        assert "--tag" not in words
        output = f"type=image,name={IMAGE},push-by-digest=true,name-canonical=true,push=true,"
        assert words[words.index("--output") + 1].startswith(output)
    written = json.loads((folder / "ci-3.11-arm64.json").read_text())
    assert written["digest"] == DIGESTS["amd64"]
    assert written["platform"] == "linux/arm64"


def test_a_build_that_fails_says_what_is_kept_and_how_it_goes_on(bench: Bench) -> None:
    folder = bench.folder / "my digests"
    error = "ERROR: failed to solve: no space left on device"
    done = bench.invoke(
        *(
            "image.build",
            "--kind",
            "prod",
            "--python",
            "3.11",
            *BOTH,
            "--prod-profile",
            "slim",
            "--push",
        ),
        *("--digests", str(folder), "--tag", "a,b"),
        FAKE_LS=CAN,
        FAKE_METADATA=METADATA,
        FAKE_FAILS="linux/arm64",
        FAKE_EXIT="1",
        FAKE_STDERR=error,
    )
    assert done.returncode == 6
    assert last(done.stderr).startswith("prod-slim-3.11-arm64: no space left on device (free some")
    assert (
        f"\nprod-slim-3.11-arm64: kept: prod-slim-3.11-amd64 {DIGESTS['amd64']}; "
        "the rest, with the same other options: invoke image.build --kind prod --python 3.11 "
        f"--platform linux/arm64 --push-by-digest --prod-profile slim --digests '{folder}'; "
        "invoke image.merge --kind prod --python 3.11 --tag a,b "
        f"--prod-profile slim --digests '{folder}'\n"
    ) in done.stderr
    assert [path.name for path in folder.iterdir()] == ["prod-slim-3.11-amd64.json"]
    first, second = sorted(bench.builds(), key=platform)
    assert f"{IMAGE.replace('/ci/', '/prod/')}:linux-amd64-slim" in first  # the engine's own
    assert f"{IMAGE.replace('/ci/', '/prod/')}:linux-arm64-slim" in second
    again = bench.invoke(
        *("image.build", "--python", "3.11", *BOTH, "--push-by-digest", "--digests", str(folder)),
        FAKE_LS=CAN,
        FAKE_METADATA="{}",
    )
    assert again.returncode == 1
    assert "failed (command)" in again.stderr
    assert "pushed, but buildx reported no digest" in again.stderr


def test_a_digest_alone_is_not_merged(dedicated: Bench) -> None:
    folder = dedicated.folder / "digests"
    done = dedicated.nox(
        *("build_ci-3.11-arm64", "--push-by-digest", "--builder", "mine"),
        *("--digests", str(folder)),
        FAKE_LS=CAN,
        FAKE_METADATA=METADATA,
    )
    assert done.returncode == 0, done.stderr
    assert f"ci-3.11-arm64: wrote its digest to {folder}/ci-3.11-arm64.json" in done.stderr
    assert not [words for words in dedicated.told() if words[1:3] == ["imagetools", "create"]]
    push = ("image.push", "--python", "3.11", "--push-by-digest", "--digests", str(folder))
    assert dedicated.invoke(*push, "--builder", "mine", FAKE_METADATA=METADATA).returncode == 0
    assert "push-by-digest=true" in " ".join(dedicated.builds()[-1])


def test_several_platforms_are_built_and_then_loaded_together(bench: Bench) -> None:
    done = bench.invoke(*BUILD, "--push-cache", FAKE_LS=CAN, FAKE_METADATA=METADATA)
    assert done.returncode == 0, done.stderr
    *each, together = bench.builds()
    assert [words[words.index("--output") + 1] for words in each] == ["type=cacheonly"] * 2
    assert sorted(words[words.index("--platform") + 1] for words in each) == BOTH[1].split(",")
    assert "--load" in together
    assert BOTH[1] in together
    assert "--cache-to" not in together
    assert f"ci-3.11-amd64: wrote {IMAGE}:cache-linux-amd64" in done.stderr
    assert f"\nci-3.11: loaded {IMAGE}:latest {DIGESTS['amd64']}\n" in done.stderr
    assert last(done.stderr).split()[:2] == ["ci-3.11", "built"]


def test_what_cannot_be_loaded_says_what_to_do(bench: Bench) -> None:
    classic = '{"ServerVersion": "28", "DriverStatus": [["Backing Filesystem", "extfs"]]}'
    done = bench.invoke(*BUILD, FAKE_LS=CAN, FAKE_INFO=classic)
    assert done.returncode == 3
    assert last(done.stderr) == (
        "--load: the engine's classic image store cannot hold an image of linux/amd64, "
        "linux/arm64: turn on the containerd image store, load one platform, or --push"
    )
    write_builder(bench, "two", "remote", "n1", "n2")
    done = bench.invoke(*BUILD, "--builder", "two", FAKE_LS=CAN)
    assert done.returncode == 3
    assert "from one node only, and builder two has n1, n2: " in last(done.stderr)
    assert bench.builds() == []


def test_a_platform_that_fails_is_not_loaded(bench: Bench) -> None:
    error = "ERROR: failed to solve: no space left on device"
    done = bench.invoke(*BUILD, FAKE_LS=CAN, FAKE_EXIT="1", FAKE_STDERR=error)
    assert done.returncode == 6
    assert len(bench.builds()) == 2
    assert last(done.stderr) == "2 of 3 failed: ci-3.11-amd64 (disk), ci-3.11-arm64 (disk)"
    assert "ci-3.11        skipped" in done.stderr


def test_a_dry_run_says_the_merge_too(bench: Bench) -> None:
    done = bench.invoke(*BUILD, "--push", "--dry-run")
    *builds, merge = done.stdout.splitlines()
    assert len(builds) == 2
    assert merge.startswith("# env ")
    assert merge.endswith(f" {IMAGE}@DIGEST-OF-ci-3.11-arm64")
    loading = bench.invoke(*BUILD, "--dry-run").stdout.splitlines()
    assert len(loading) == 3
    assert {tuple(words[1:]) for words in bench.told()} == {("version",)}


@pytest.mark.parametrize("front_end", ["nox", "invoke"])
def test_a_merge_needs_no_build(bench: Bench, front_end: str) -> None:
    options = ("--digests", str(write_parts(bench, "amd64", "arm64")))
    given = {"FAKE_REGISTRY": whole(bench)}
    if front_end == "nox":
        done = bench.nox("merge_ci-3.11", *options, **given)
    else:
        done = bench.invoke("image.merge", "--python", "3.11", *options, **given)
    assert done.returncode == 0, done.stderr
    assert f"ci-3.11: merged linux/amd64, linux/arm64 as {IMAGE}:latest sha256:" in done.stderr
    assert bench.builds() == []
    (create,) = [words for words in bench.told() if words[1:3] == ["imagetools", "create"]]
    sources = [f"{IMAGE}@{digest}" for digest in DIGESTS.values()]
    assert create[3:] == [
        *("--builder", "default", "--progress", "plain", "--tag", f"{IMAGE}:latest", *sources)
    ]


def test_a_merge_can_be_tried_dry(bench: Bench) -> None:
    folder = write_parts(bench, "amd64", "arm64", commit="abc")
    merge = ("image.merge", "--python", "3.11", "--digests", str(folder), "--dry-run")
    done = bench.invoke(*merge, "--commit", "abc", "--tag", "x")
    assert done.returncode == 0, done.stderr
    assert f" --tag {IMAGE}:x {IMAGE}@{DIGESTS['amd64']} " in done.stdout
    stale = bench.invoke(*merge)
    assert stale.returncode == 2
    assert "ci-3.11-amd64.json: is of commit abc, not of " in last(stale.stderr)


def test_a_merge_that_lacks_a_platform_is_one_line(bench: Bench) -> None:
    folder = write_parts(bench, "amd64")
    merge = ("image.merge", "--python", "3.11", "--digests", str(folder))
    done = bench.invoke(*merge)
    assert done.returncode == 2
    assert last(done.stderr).startswith(f"{folder}: no digest of ci-3.11-arm64, only of ci-3.11-am")
    one = bench.invoke(*merge, "--platform", "amd64", "--dry-run")
    assert one.returncode == 0, one.stderr


RECORDS = """\
ID:           leaf
Parent:       base
Reclaimable:  true
Shared:       false
Size:         2MB
Last used:    3 hours ago
Type:         regular

ID:           base
Reclaimable:  true
Shared:       true
Size:         1MB
Type:         regular

ID:           mount
Reclaimable:  false
Size:         500kB
Type:         exec.cachemount

Total: 3.5MB"""


def test_pruning_goes_to_the_named_builder(bench: Bench) -> None:
    prune = ("cache.prune", "--builder", "mine", "--all", "--older", "24h")
    done = bench.invoke(*prune, FAKE_STDOUT=RECORDS)
    assert done.returncode == 0, done.stderr
    assert bench.told()[-1][1:] == [
        *("prune", "--builder", "mine", "--force", "--verbose", "--all"),
        *("--filter", "until=86400s"),
    ]
    assert last(done.stderr) == (
        "builder mine: freed 3.5 MB in 3 records (to four digits, as buildx prints it)"
    )


def test_a_dry_run_of_pruning_removes_nothing(bench: Bench) -> None:
    prune = ("cache.prune", "--dry-run", "--json")
    done = bench.invoke(*prune, FAKE_STDOUT=RECORDS)
    assert done.returncode == 0, done.stderr
    assert {words[1] for words in bench.told()} == {"version", "du"}
    assert json.loads(done.stdout) == {
        "builder": "default",
        "dry_run": True,
        "exact": False,
        "bytes": 2_000_000,
        "records": 1,
        "types": {"regular": {"bytes": 2_000_000, "records": 1}},
        "nodes": [{"name": "default", "bytes": 2_000_000, "records": 1}],
    }


def test_a_builder_that_is_not_there_is_one_line(bench: Bench) -> None:
    error = 'ERROR: no builder "mine" found'
    given = {"FAKE_EXIT": "1", "FAKE_STDERR": error}
    for options in (("--dry-run",), ()):
        done = bench.invoke("cache.prune", "--builder", "mine", *options, **given)
        assert done.returncode == 3
        assert 'no builder "mine" found' in last(done.stderr)


def test_a_wrong_way_to_prune_is_one_line(bench: Bench) -> None:
    done = bench.invoke("cache.prune", "--type", "layers")
    assert done.returncode == 2
    assert last(done.stderr).startswith("--type: unknown type 'layers': choose regular, ")
    old = bench.invoke("cache.prune", "--max-used-space", "1GB", FAKE_BUILDX_VERSION="v0.13.1")
    assert old.returncode == 3
    assert last(old.stderr).startswith("--max-used-space: needs buildx 0.18 ")


def test_usage_is_told_by_builder_node_and_reference(bench: Bench) -> None:
    write_builder(bench, "two", "remote", "n1", "n2")
    layers = [{"mediaType": "x", "digest": "a", "size": 100}]
    given = {
        "FAKE_STDOUT": RECORDS,
        "FAKE_REGISTRY": registry(bench, **{"cache-linux-amd64": {"layers": layers}}),
    }
    done = bench.invoke("cache.usage", "--json", **given)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    nodes = [(one["builder"], one["driver"], one["node"]) for one in said["builders"]]
    assert nodes == [
        ("default", "docker", "default"),
        ("two", "remote", "n1"),
        ("two", "remote", "n2"),
    ]
    assert said["builders"][0] == {
        "builder": "default",
        "driver": "docker",
        "node": "default",
        "exact": False,
        "error": None,
        "bytes": 3_500_000,
        "reclaimable": 3_000_000,
        "shared": 1_000_000,
        "records": 3,
        "types": {
            "regular": {"bytes": 3_000_000, "records": 2},
            "exec.cachemount": {"bytes": 500_000, "records": 1},
        },
    }
    assert said["references"] == [
        {"reference": f"{IMAGE}:cache-linux-amd64", "bytes": 100, "layers": 1, "newest": None}
    ]
    assert said["references_distinct_bytes"] == 100
    table = bench.invoke("cache.usage", "--builder", "two", "--python", "3.11", **given)
    assert f"{IMAGE}:cache-linux-amd64" in table.stdout
    assert "exec.cachemount" in table.stdout
    assert "builder two, node n2: 3 MB can be freed, 1 MB is shared with images" in table.stderr
    assert "default" not in table.stdout


def test_usage_can_be_of_one_side(bench: Bench) -> None:
    given = {"FAKE_REGISTRY": registry(bench)}
    local = json.loads(bench.invoke("cache.usage", "--local", "--json", **given).stdout)
    remote = json.loads(
        bench.invoke("cache.usage", "--remote", "--kind", "ci", "--json", **given).stdout
    )
    assert "references" not in local
    assert "builders" not in remote
    both = bench.invoke("cache.usage", "--local", "--remote")
    assert both.returncode == 2
    assert last(both.stderr) == "--local --remote: leave out both for both"


def test_what_does_not_answer_is_said_and_the_rest_is_told(bench: Bench) -> None:
    plugin = bench.folder / "docker-config" / "cli-plugins" / "docker-buildx"
    plugin.write_text(plugin.read_text().replace(": not found", ": 403 Forbidden"))
    given = {"FAKE_STDOUT": RECORDS, "FAKE_REGISTRY": registry(bench)}
    done = bench.invoke("cache.usage", **given)
    assert done.returncode == 5
    assert "exec.cachemount" in done.stdout
    assert "403 Forbidden" in last(done.stderr)
    layers = [{"mediaType": "x", "digest": "a", "size": 100}]
    registry(bench, **{"cache-linux-amd64": {"layers": layers}})
    some = bench.invoke("cache.usage", "--remote", "--python", "3.11", "--kind", "ci", **given)
    assert some.returncode == 0, some.stderr
    assert "cache references that were denied or do not exist: 1" in some.stderr
    plugin.write_text(plugin.read_text().replace(": 403 Forbidden", ": connection refused"))
    cut = bench.invoke("cache.usage", "--remote", **given)
    assert cut.returncode == 7
    failing = {"FAKE_EXIT": "1", "FAKE_STDERR": "ERROR: connection refused"}
    done = bench.invoke("cache.usage", "--local", "--json", **failing)
    assert done.returncode == 7
    (node,) = json.loads(done.stdout)["builders"]
    assert "connection refused" in node["error"]
