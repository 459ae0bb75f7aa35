"""What the benchmark asks of each peer, and what it makes of what it measured."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks import chart, page, peers, results, scenarios, size, start
from benchmarks.goals import GOALS
from benchmarks.peers import Job
from benchmarks.results import Results, Sample
from benchmarks.scenarios import PUSHING, SCENARIOS, Peer, Scenario

ROOT = Path(__file__).resolve().parents[2]
JOB = Job(
    docker="docker",
    registry="127.0.0.1:1",
    checkout=Path("/checkout"),
    python="3.11",
    arguments=(("BASE_IMAGE", "127.0.0.1:1/base"),),
    bundle=Path("/ca.crt"),
    push=True,
)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def sample(
    scenario: str, peer: Peer, seconds: float, *, pushed: int = 0, number: int = 1
) -> Sample:
    return Sample(scenario, peer, number, seconds, 2_000, pushed, 400_000_000, 0.5)


RUN = Results(
    {"cores": "2", "nothing": ""},
    (
        sample("no-op", Peer.RAW, 0.4),
        sample("no-op", Peer.RAW, 0.6, number=2),
        sample("no-op", Peer.RAW, 0.5, number=3),
        sample("no-op", Peer.INVOKE, 1.0),
        sample("cold", Peer.RAW, 60.0),
        sample("cold", Peer.INVOKE, 25.0, pushed=472_000_000),
        sample("pin", Peer.RAW, 60.0, pushed=364_000_000),
        sample("pin", Peer.INVOKE, 15.0, pushed=1_000_000),
    ),
)


def commands(peer: Peer, job: Job = JOB) -> list[tuple[str, ...]]:
    return [step.command for step in peers.steps(peer, job)]


def test_raw_is_told_the_defaults_and_a_cache() -> None:
    (command,) = commands(Peer.RAW)
    reference = "type=registry,ref=127.0.0.1:1/bench/raw:cache"
    assert command == (
        *("docker", "buildx", "build"),
        *("--file", str(ROOT / "benchmarks/plain/Dockerfile")),
        *("--build-arg", "BASE_IMAGE=127.0.0.1:1/base"),
        *("--build-arg", "ADDITIONAL_DEV_APT_DEPS="),
        *("--secret", "id=ca-bundle,src=/ca.crt"),
        *("--tag", "127.0.0.1:1/bench/raw:latest"),
        *("--push", "--cache-from", reference, "--cache-to", f"{reference},mode=max"),
        "/checkout",
    )


def test_peers_of_one_dockerfile_are_told_the_same() -> None:
    target = peers.bake_file(JOB)["target"]["default"]
    (command,) = commands(Peer.WHALES)
    build = json.loads(command[-1])["build"]
    assert target["args"] == build["build_args"]
    assert target["dockerfile"] == build["file"]
    assert target["secret"] == build["secrets"]
    assert target["cache-to"] == ["type=registry,ref=127.0.0.1:1/bench/bake:cache,mode=max"]
    assert build["cache_to"].endswith("/bench/python-on-whales:cache,mode=max")
    assert build["push"]
    assert commands(Peer.BAKE)[0][-1] == "--push"


def test_the_classic_builder_pulls_then_builds() -> None:
    pull, build, push = peers.steps(Peer.CLASSIC, JOB)
    image = "127.0.0.1:1/bench/classic:latest"
    assert pull.command == ("docker", "pull", image)
    assert pull.may_fail
    assert build.command[:4] == ("env", "DOCKER_BUILDKIT=0", "docker", "build")
    assert build.command[-5:] == ("--cache-from", image, "--tag", image, "/checkout")
    assert push.command == ("docker", "push", image)


def test_the_front_ends_are_used_as_people_do() -> None:
    job = replace(JOB, package="jq")
    assert commands(Peer.INVOKE, job)[0][1:] == (
        *("-m", "invoke", "image.build", "--python", "3.11"),
        *("--push", "--push-cache", "--dependencies-apt-dev", "jq"),
    )
    assert commands(Peer.NOX, replace(JOB, push=False))[0][1:] == (
        *("-m", "nox", "-s", "build_ci-3.11", "--"),
    )
    assert JOB.image(Peer.INVOKE) == "127.0.0.1:1/bench/invoke/main/ci/python3.11:latest"


def test_nothing_is_pushed_where_nothing_is_to_be() -> None:
    job = replace(JOB, push=False, plugin=("plugin", "build", "."), bundle=None)
    for peer in BY_NAME["no-op"].peers:
        text = " ".join(word for command in commands(peer, job) for word in command)
        assert not re.search(r"push|cache|secret=", text.replace('"secrets": []', "")), text
    assert commands(Peer.SAME, job) == [("docker", "buildx", "build", ".")]
    assert commands(Peer.PLUGIN, job) == [job.plugin]
    assert commands(Peer.START, job)[0][1:] == ("-m", "invoke", "--version")
    assert "cache-to" not in peers.bake_file(job)["target"]["default"]


def test_each_peer_that_pushes_has_a_repository_of_its_own() -> None:
    everyone = (*PUSHING, Peer.COPIED)
    assert len({peers.repository(peer) for peer in everyone}) == len(everyone)


def test_a_source_file_and_a_pin_are_changed_and_nothing_else() -> None:
    assert scenarios.changes(BY_NAME["cold"], ROOT, "3.11") == {}
    (edited,) = scenarios.changes(BY_NAME["source"], ROOT, "3.11").items()
    assert edited == (ROOT / scenarios.EDITED, edited[1])
    assert edited[1].startswith((ROOT / scenarios.EDITED).read_text(encoding="utf-8"))
    (pinned,) = scenarios.changes(BY_NAME["pin"], ROOT, "3.11").items()
    before = pinned[0].read_text(encoding="utf-8").splitlines()
    differing = [new for old, new in zip(before, pinned[1].splitlines(), strict=True) if old != new]
    assert differing == ["==".join(scenarios.PIN)]


def test_a_pin_that_is_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "constraints").mkdir()
    (tmp_path / "constraints/constraints-3.11.txt").write_text("x==1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=f"no pin of {scenarios.PIN[0]}"):
        scenarios.changes(BY_NAME["pin"], tmp_path, "3.11")


@pytest.mark.parametrize("name", ["plain", "copied", "classic"])
def test_the_peers_dockerfiles_do_the_work_of_ours(name: str) -> None:
    ours = (ROOT / "Dockerfile.ci").read_text(encoding="utf-8")
    theirs = (ROOT / "benchmarks" / name / "Dockerfile").read_text(encoding="utf-8")

    def packages(text: str) -> list[str]:
        listed = re.search(r"--no-install-recommends \\\n(.*?)\$\{ADD", text, re.DOTALL)
        assert listed
        return listed[1].replace("\\", "").split()

    assert packages(theirs) == packages(ours)
    last = theirs.index("uv pip install")
    assert (theirs.index("COPY --chown=50000:0 sources/") < last) is (name == "copied")
    assert ("--mount=" in theirs) is (name != "classic")


def test_results_come_back_from_json_as_they_were() -> None:
    data = json.loads(json.dumps(RUN.data()))
    assert data["schema"] == results.SCHEMA
    assert set(data["samples"][0]) == {
        *("scenario", "peer", "round", "seconds", "pulled", "pushed", "image", "load"),
    }
    assert results.loaded(data) == RUN
    with pytest.raises(ValueError, match="schema 0"):
        results.loaded({**data, "schema": 0})


def test_medians_and_ratios() -> None:
    assert RUN.seconds("no-op", Peer.RAW) == pytest.approx(0.5)
    assert RUN.seconds("no-op", Peer.BAKE) is None
    assert results.ratio(3.0, 2.0) == pytest.approx(1.5)
    assert results.ratio(3.0, None) is None
    assert results.ratio(3.0, 0.0) is None


def test_the_table_has_a_row_for_each_peer_that_was_measured() -> None:
    lines = page.table(RUN).splitlines()
    assert lines[0] == "|  | seconds | of raw | MB pulled | MB pushed |"
    assert lines[2].startswith("| **No-op")
    assert (
        lines[3] == "| `docker buildx build`, one dependency layer | 0.50 | 1.00 | 0.002 | 0.000 |"
    )
    assert lines[4] == "| `invoke image.build` | 1.00 | 2.00 | 0.002 | 0.000 |"
    assert lines[7] == "| `invoke image.build` | 25.0 | 0.42 | 0.002 | 472.0 |"
    assert len(lines) == 11


def test_goals_say_what_is_reached_and_what_limits_the_rest() -> None:
    lines = page.goals(RUN).splitlines()[2:]
    verdicts = [line.split(" | ")[-2:] for line in lines]
    assert len(lines) == len(GOALS)
    assert verdicts[0] == ["2.4 x", "yes |"]
    assert verdicts[2] == ["364 x", "yes |"]
    assert verdicts[3] == ["not measured", " |"]
    assert verdicts[-1] == ["2 x", "**no** |"]
    (missed,) = page.limits(RUN)
    assert missed.startswith("- no-op: time of raw: ")


def test_the_page_says_where_the_time_of_a_no_op_goes() -> None:
    assert page.profile(RUN) == ""
    more = [sample("no-op", peer, 0.3) for peer in (Peer.START, Peer.PLUGIN, Peer.SAME)]
    text = page.page(replace(RUN, samples=(*RUN.samples, *more)))
    assert "The 1000 ms of a no-op through invoke: " in text
    assert "the suite itself 400 ms." in text


def test_the_page_describes_the_machine_and_names_no_path() -> None:
    text = page.page(RUN)
    assert "| cores | 2 |" in text
    assert "nothing" not in text.partition("## The last run")[2].partition("seconds")[0]
    assert "{" not in text
    assert not re.search(r"/(root|home|tmp|work)/", text)
    assert "performance.svg" in text


def test_the_chart_is_svg_for_light_and_dark_without_fonts_or_network() -> None:
    text = chart.chart(RUN)
    root = ET.fromstring(text)  # noqa: S314 - our own
    space = "{http://www.w3.org/2000/svg}"
    bars = root.findall(f"{space}rect")
    assert len(bars) == 6
    assert max(float(bar.attrib["width"]) for bar in bars) == 430
    assert {bar.attrib["class"] for bar in bars} == {"peer", "ours"}
    assert "prefers-color-scheme: dark" in text
    assert "url(" not in text
    assert "@font-face" not in text
    assert text.count("http") == 1


def test_options_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    asked = bench.options(["--scenarios", "cold, pin", "--peers", "raw", "--rounds", "2"])
    assert asked.scenarios == ["cold", "pin"]
    assert (asked.peers, asked.rounds) == (["raw"], 2)
    for words in (["--scenarios", "warm"], ["--peers", ""], ["--rounds", "0"]):
        with pytest.raises(SystemExit):
            bench.options(words)
    assert "unknown name 'warm': choose no-op, cold" in capsys.readouterr().err


def test_a_file_of_samples_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "old.json"
    file.write_text(json.dumps(RUN.data()), encoding="utf-8")
    words = ["bench", "--again", str(file), "--output", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", words)
    assert bench.main() == 0
    assert page.table(RUN) in capsys.readouterr().out
    assert (tmp_path / "out/results.svg").read_text(encoding="utf-8") == chart.chart(RUN)
    file.write_text("{}", encoding="utf-8")
    assert bench.main() == 1
    assert "bench: results of schema None" in capsys.readouterr().err


def test_every_scenario_compares_with_raw_and_says_how_it_begins() -> None:
    for scenario in SCENARIOS:
        assert Peer.RAW in scenario.peers
        assert Peer.INVOKE in scenario.peers
    assert [scenario.name for scenario in SCENARIOS if scenario.cold] == ["cold"]
    assert Scenario("x", "X").pushes


@pytest.mark.parametrize(
    ("instruction", "part"),
    [
        ("RUN /bin/bash -euo pipefail -c apt_get install --yes curl", "Debian's packages"),
        ("COPY /opt/ /opt/ # buildkit", "virtual environment"),
        ("COPY --chown=50000:0 /opt/ /opt/ # buildkit", "virtual environment"),
        ("COPY --chown=50000:0 /tmp/bytecode/7/ /opt/ # buildkit", "bytecode"),
        ("RUN base-python -m compileall -q", "bytecode"),
        ("COPY <<EOF /entrypoint", "rest"),
    ],
)
def test_the_parts_of_an_image_are_known_by_their_instructions(instruction: str, part: str) -> None:
    assert size.part(instruction) == part
    assert part in size.PARTS


def test_starts_are_medians_of_all_turns() -> None:
    samples = {(command, "one"): [(1.0, 2.0), (9.0, 8.0), (3.0, 4.0)] for command in start.STARTS}
    table = start.tabulate(["one"], samples)
    assert [*table.columns[1].cells] == ["3.00 / 4.00"] * len(start.STARTS)
