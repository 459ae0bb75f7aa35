"""The tasks of builders, as people call them, on a buildx that only writes down."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from fake_docker import Bench, listing

RULE = {"filter": [], "all": True, "keepDuration": 0, "maxUsedSpace": 20_000_000_000}
PLATFORMS = ("linux/amd64", "linux/arm64")
RUNNING = "\n".join(
    listing(name, *PLATFORMS, node=node, Version="v0.25.1", GCPolicy=[RULE])
    for name, node in (("default", "default"), ("mine", "mine0"), ("arm", "arm"))
)


def last(text: str) -> str:
    return text.strip().splitlines()[-1]


def stored(name: str = "mine", driver: str = "docker-container", **node: object) -> str:
    each = {"Name": f"{name}0", "Endpoint": f"{'unix://x'}", "DriverOpts": None, **node}
    return json.dumps({"Name": name, "Driver": driver, "Nodes": [each]})


def file(bench: Bench, text: str) -> dict[str, str]:
    path = bench.folder / "images.toml"
    path.write_text(f'pythons = ["3.11"]\n{text}')
    return {"AIRFLOW_IMAGES_FILE": str(path)}


@pytest.fixture
def here(bench: Bench) -> dict[str, str]:
    """What the fake engine answers for a builder that is as it is wanted."""
    host = bench.environment["DOCKER_HOST"]
    return {"FAKE_STORED": stored(Endpoint=host), "FAKE_LS": RUNNING}


def test_a_builder_is_created_found_listed_inspected_and_removed(
    bench: Bench, here: dict[str, str]
) -> None:
    first = bench.invoke("builder.create", "--builder", "mine", **here)
    assert first.returncode == 0, first.stderr
    assert last(first.stderr) == "builder mine is ready: build with it with --builder mine"
    (made,) = [words[1:] for words in bench.told() if words[1:2] == ["create"]]
    assert made == [
        *("create", "--name", "mine", "--driver", "docker-container", "--node", "mine0"),
        "--bootstrap",
    ]
    again = bench.invoke("builder.create", "--builder", "mine", **here)
    assert last(again.stderr) == "builder mine exists and runs"

    rows = json.loads(bench.invoke("builder.list", "--json", **here).stdout)
    assert [(row["builder"], row["driver"], row["status"], row["from"]) for row in rows] == [
        ("default", "docker", "running", "the engine"),
        ("mine", "docker-container", "running", "the suite"),
    ]
    assert rows[1]["platforms"] == ["linux/amd64", "linux/arm64"]
    assert "the suite" in bench.invoke("builder.list", **here).stdout

    seen = json.loads(bench.invoke("builder.inspect", "--builder", "mine", "--json", **here).stdout)
    assert (seen["status"], seen["differences"]) == ("running", [])
    (node,) = seen["nodes"]
    assert node["platforms"] == ["linux/amd64", "linux/arm64"]
    assert (node["native"], node["buildkit"], node["stand-in"]) == ("linux/amd64", "v0.25.1", False)
    assert node["garbage-collection"] == [
        {"all": True, "filters": [], "keep-duration": "", "max-used-space": 20000000000}
    ]
    table = bench.invoke("builder.inspect", "--builder", "mine", **here).stdout
    assert "nodes[0].garbage-collection[0].max-used-space" in table
    assert "20000000000" in table

    done = bench.invoke("builder.remove", "--builder", "mine", "--keep-cache", **here)
    assert done.returncode == 0
    assert bench.told()[-1][1:] == ["rm", "--force", "--keep-state", "mine"]
    assert not (bench.folder / "cache" / "builders" / "mine").exists()
    gone = bench.invoke("builder.remove", "--builder", "mine", **here)
    assert gone.returncode == 2
    assert last(gone.stderr) == "--builder: no builder 'mine': choose none"


def test_the_default_builder_is_looked_at_and_never_removed(
    bench: Bench, here: dict[str, str]
) -> None:
    seen = json.loads(bench.invoke("builder.inspect", "--json", **here).stdout)
    assert (seen["builder"], seen["driver"], seen["from"]) == ("default", "docker", "the engine")
    done = bench.invoke("builder.remove")
    assert done.returncode == 2
    assert last(done.stderr).startswith("--builder: name the builder to remove; default is the ")


def test_without_a_name_the_builder_has_the_suites(bench: Bench, here: dict[str, str]) -> None:
    bench.invoke("builder.create", **here)
    assert ["--name", "airflow-images"] in [words[2:4] for words in bench.told()]


def test_a_difference_is_shown_with_exit_code_3_and_mended_on_request(
    bench: Bench, here: dict[str, str]
) -> None:
    bench.invoke("builder.create", "--builder", "mine", **here)
    wanted = file(bench, '[builders.mine]\nmax-used-space = "20GB"\n')
    said = bench.invoke("builder.create", "--builder", "mine", **here, **wanted)
    assert said.returncode == 3
    difference = "buildkitd.toml: worker.oci.maxUsedSpace is not set, expected 20000000000"
    assert f"mine0: {difference}" in said.stderr.splitlines()
    assert last(said.stderr) == (
        "builder mine differs from its definition, see above: --recreate recreates it and keeps "
        "its cache"
    )
    text = "W3dvcmtlci5vY2ldCmdjID0gdHJ1ZQptYXhVc2VkU3BhY2UgPSAyMDAwMDAwMDAwMAo="
    right = stored(Endpoint=bench.environment["DOCKER_HOST"], Files={"buildkitd.toml": text})
    mended = bench.invoke(
        *("builder.create", "--builder", "mine", "--recreate"),
        **{**here, **wanted, "FAKE_STORED": right},
    )
    assert mended.returncode == 0, mended.stderr
    assert last(mended.stderr) == "builder mine was recreated, with its cache"
    (removed,) = [words[1:] for words in bench.told() if words[1:2] == ["rm"]]
    assert removed == ["rm", "--force", "--keep-state", "mine"]
    handed = bench.told()[-2:]
    assert any("--buildkitd-config" in words for words in handed)
    kept = bench.folder / "cache" / "builders" / "mine" / "buildkitd.toml"
    assert kept.read_text() == "[worker.oci]\ngc = true\nmaxUsedSpace = 20000000000\n"
    alone = bench.invoke("builder.create", "--builder", "mine", "--drop-cache")
    assert alone.returncode == 2
    assert last(alone.stderr).startswith("--drop-cache: only with --recreate")


def test_a_build_creates_the_builder_that_it_names(bench: Bench, here: dict[str, str]) -> None:
    named = file(bench, 'builder = "mine"\n[builders.mine]\n')
    build = ("image.build", "--python", "3.11")
    for _ in range(2):
        done = bench.invoke(*build, **here, **named)
        assert done.returncode == 0, done.stderr
    assert [words[1] for words in bench.told()] == [
        "version",
        "create",
        "container",
        *("imagetools", "build"),  # a build first asks for its cache
        *("imagetools", "build"),
    ]
    assert "--builder mine" in " ".join(bench.builds()[0])
    dry = bench.invoke(*build, "--dry-run", **here, **named)
    folder = bench.folder / "cache" / "builders" / "mine" / "buildx"
    assert f"BUILDX_CONFIG={folder} " in dry.stdout


def test_an_engines_own_builder_is_not_made_and_not_asked(
    bench: Bench, here: dict[str, str]
) -> None:
    named = file(bench, 'builder = "arm"\n[builders.arm]\ndriver = "docker"\n')
    assert bench.invoke("image.build", "--python", "3.11", **here, **named).returncode == 0
    assert [words[1] for words in bench.told()] == ["version", "imagetools", "build"]
    created = bench.invoke("builder.create", **here, **named)
    assert last(created.stderr) == "builder arm is the engine's own: there is nothing to create"
    seen = json.loads(bench.invoke("builder.inspect", "--json", **here, **named).stdout)
    assert (seen["driver"], seen["from"]) == ("docker", "images.toml")


def test_a_builder_that_is_only_defined_is_no_builder_yet(bench: Bench) -> None:
    named = file(bench, "[builders.mine]\n")
    said = bench.invoke("builder.inspect", "--builder", "mine", **named)
    assert said.returncode == 3
    assert last(said.stderr) == (
        f"builder mine is not created yet: env AIRFLOW_IMAGES_FILE={named['AIRFLOW_IMAGES_FILE']} "
        "invoke builder.create --builder mine"
    )
    (_, row) = json.loads(bench.invoke("builder.list", "--json", **named).stdout)
    assert row == {
        "builder": "mine",
        "driver": "docker-container",
        "from": "images.toml",
        "status": "not created",
        "platforms": [],
    }


def test_a_dead_node_is_one_line_and_told_by_all_tasks(bench: Bench, here: dict[str, str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    text = f'[builders.far]\ndriver = "remote"\n[[builders.far.nodes]]\nendpoint = "{endpoint}"\n'
    named = file(bench, text)
    dead = f"node far0 ({endpoint}) does not answer: Connection refused"
    created = bench.invoke("builder.create", "--builder", "far", **named)
    assert created.returncode == 7
    assert last(created.stderr) == f"builder far: {dead}"
    assert not [words for words in bench.told() if words[1] == "create"]

    folder = bench.folder / "cache" / "builders" / "far" / "buildx" / "instances"
    folder.mkdir(parents=True)
    platforms = [{"os": "linux", "architecture": "amd64"}]
    (folder / "far").write_text(stored("far", "remote", Endpoint=endpoint, Platforms=platforms))
    built = bench.invoke("image.build", "--python", "3.11", "--builder", "far", **named)
    assert built.returncode == 7
    assert last(built.stderr) == f"builder far: {dead}"
    assert bench.builds() == []
    seen = bench.invoke("builder.inspect", "--builder", "far", "--json", **named)
    (node,) = json.loads(seen.stdout)["nodes"]
    assert (node["status"], node["error"]) == ("no answer", "Connection refused")
    assert node["platforms-set"] == ["linux/amd64"]
    rows = json.loads(bench.invoke("builder.list", "--json", **named, **here).stdout)
    assert rows[1]["status"] == "far0: no answer Connection refused"
    assert rows[0]["status"] == "running"


def test_a_builder_that_buildx_cannot_look_at_is_told(bench: Bench, here: dict[str, str]) -> None:
    bench.invoke("builder.create", "--builder", "mine", **here)
    broken = {**here, "FAKE_LS": json.dumps({"Name": "mine", "Err": "no such context"})}
    rows = json.loads(bench.invoke("builder.list", "--json", **broken).stdout)
    assert rows[1]["status"] == "error: builder mine: no such context"
    said = bench.invoke("builder.inspect", "--builder", "mine", **broken)
    assert said.returncode == 3


def test_a_builder_of_the_users_own_is_listed_and_left_alone(
    bench: Bench, here: dict[str, str]
) -> None:
    theirs = bench.folder / "docker-config" / "buildx" / "instances"
    theirs.mkdir(parents=True)
    (theirs / "team").write_text(stored("team"))
    rows = json.loads(bench.invoke("builder.list", "--json", **here).stdout)
    assert (rows[1]["builder"], rows[1]["from"]) == ("team", "you")
    for task in ("builder.create", "builder.remove"):
        done = bench.invoke(task, "--builder", "team", **here)
        assert done.returncode == 2
        assert "team is your own" in last(done.stderr)
    assert (theirs / "team").exists()


def test_settings_show_builders_with_their_origin(bench: Bench) -> None:
    named = file(bench, '[builders.mine]\nmirrors = { "docker.io" = ["mirror"] }\n')
    shown = json.loads(bench.invoke("settings", "--json", **named).stdout)
    assert shown["builders.mine.driver"] == {"value": "docker-container", "from": "default"}
    assert shown["builders.mine.mirrors"] == {
        "value": {"docker.io": ["mirror"]},
        "from": "images.toml: builders.mine.mirrors",
    }
    assert "builders.mine.nodes[0].name" in bench.invoke("settings", **named).stdout


@pytest.mark.parametrize("front_end", ["nox", "invoke"])
def test_a_mistake_in_a_builder_is_one_line_in_both(bench: Bench, front_end: str) -> None:
    wrong = file(bench, '[builders.mine]\ndriver = "vm"\n')
    if front_end == "nox":
        done = bench.nox("build_ci-3.11", **wrong)
    else:
        done = bench.invoke("builder.list", **wrong)
    assert done.returncode in {1, 2}
    message = "images.toml: builders.mine.driver: unknown driver 'vm': choose docker-container, "
    assert message in last(done.stderr)
    assert "Traceback" not in done.stderr


def test_the_folder_of_a_builder_is_its_own(bench: Bench, here: dict[str, str]) -> None:
    for name in ("one", "two"):
        made = {**here, "FAKE_STORED": here["FAKE_STORED"].replace("mine", name)}
        assert bench.invoke("builder.create", "--builder", name, **made).returncode == 0
    home = bench.folder / "cache" / "builders"
    assert sorted(path.name for path in home.glob("*/buildx/instances/*")) == ["one", "two"]
    assert Path(home, "one", "buildx") != Path(home, "two", "buildx")
