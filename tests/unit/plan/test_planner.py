"""From options to builds; what starts an engine is tested with the front ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from build_tasks.config.options import Options
from build_tasks.config.settings import Settings
from build_tasks.errors import EngineError, UsageError
from build_tasks.inputs import context
from build_tasks.inputs.context import Prepared
from build_tasks.inputs.fingerprint import LABEL
from build_tasks.model.build import BuildSpec, Output, Secret
from build_tasks.model.labels import Revision
from build_tasks.plan import build_host, planner, revision
from build_tasks.plan.build_host import Base, BuildHost


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch, host: BuildHost) -> list[bool]:
    """Whether the engine was to be started, each time that it was looked for."""
    starts: list[bool] = []

    def find(settings: Settings, *, start: bool, announce: object) -> BuildHost:
        starts.append(start)
        return BuildHost(host.client, settings, host.names)

    def prepare(folder: Path, *_: object) -> Prepared:
        files = (path for path in folder.glob("*/*") if path.is_file())
        nested = (path for path in folder.glob("sources/**/*") if path.is_file())
        paths = [str(path.relative_to(folder)) for path in (*files, *nested)]
        return Prepared(folder, dict.fromkeys(paths, "100644 1"))

    def pin(_: BuildHost, bases: dict[str, Base]) -> dict[str, Base]:
        return {python: replace(base, digest="sha256:1") for python, base in bases.items()}

    monkeypatch.setattr(build_host, "find", find)
    monkeypatch.setattr(build_host, "pin", pin)
    monkeypatch.setattr(context, "prepare", prepare)
    monkeypatch.setattr(revision, "current", lambda *_, build_id: Revision("abc", "", build_id))
    monkeypatch.setattr(revision, "branch", lambda _: "work")
    return starts


def plan(*, push_cache: bool = False, **options: str | bool | list[str]) -> list[BuildSpec]:
    given = Options({name.replace("_", "-"): value for name, value in options.items()})
    return planner.plan_builds(
        given, given.settings(), output=None, push_cache=push_cache, announce=lambda _: None
    )[1]


def test_there_is_a_build_for_each_image_and_platform() -> None:
    specs = plan(kind="ci,prod", python="3.11", platform="amd64,arm64", push=True)
    names = ["ci-3.11-amd64", "ci-3.11-arm64", "prod-3.11-amd64", "prod-3.11-arm64"]
    assert [spec.identity for spec in specs] == names
    assert [spec.run.metadata.stem for spec in specs] == names
    assert {spec.output.kind for spec in specs} == {Output.DIGEST}
    assert {spec.inputs.base_digest for spec in specs} == {"sha256:1"}


def test_several_platforms_are_loaded_by_a_last_build() -> None:
    specs = plan(python="3.11", platform="amd64,arm64")
    assert [spec.identity for spec in specs] == ["ci-3.11-amd64", "ci-3.11-arm64", "ci-3.11"]
    assert [spec.output.kind for spec in specs] == [Output.NONE, Output.NONE, Output.LOAD]


def test_a_single_platform_needs_no_question_of_its_base() -> None:
    assert [spec.inputs.base_digest for spec in plan(python="3.11", platform="amd64")] == [""]


def test_the_digest_of_a_base_is_no_part_of_the_fingerprint() -> None:
    """Else an image of two platforms would look out of date to a build of one."""
    labels = {
        dict(plan(python="3.11", platform=names)[0].inputs.labels)[LABEL]
        for names in ("amd64", "amd64,arm64")
    }
    assert len(labels) == 1


def test_a_dry_run_starts_no_engine(engine: list[bool]) -> None:
    plan(python="3.11", platform="amd64", dry_run=True)
    plan(python="3.11", platform="amd64")
    assert engine == [False, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"progress": "loud"}, "--progress: unknown display 'loud': choose auto, plain, tty, "),
        ({"push": True, "load": True}, "--push --load: a build has one output"),
        ({"ca_bundle": "/none"}, "--ca-bundle: no such file: /none"),
        ({"python": "3.8"}, "--python: unknown Python '3.8'"),
        ({"apt_security_mirror": "none"}, "--apt-security-mirror: needs apt.mirror, too"),
    ],
)
def test_a_mistake_is_found_before_an_engine_is_looked_for(
    engine: list[bool], options: dict[str, str | bool], message: str
) -> None:
    given = Options({name.replace("_", "-"): value for name, value in options.items()})
    given = Options({"python": "3.11", **given.given})
    with pytest.raises(UsageError) as caught:
        planner.plan_builds(
            given, given.settings(), output=None, push_cache=False, announce=pytest.fail
        )
    assert str(caught.value).startswith(message)
    assert engine == []


def test_a_cache_is_written_only_if_that_is_asked_for() -> None:
    assert not plan(python="3.11", platform="amd64")[0].cache.export
    assert plan(python="3.11", platform="amd64", push_cache=True)[0].cache.export
    to = "type=registry,ref=r/c:x"
    assert plan(python="3.11", platform="amd64", cache_to=to)[0].cache.export


def test_how_a_build_runs_is_the_same_for_all() -> None:
    for spec in plan(python="3.11,3.12", platform="amd64", progress="plain", strict_cache=True):
        run = spec.run
        assert (run.builder, run.progress, run.strict_cache) == ("default", "plain", True)
        assert not run.multi_node


def test_a_build_without_its_base_is_refused_and_the_others_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = EngineError("no base")
    bases = {"3.11": Base("debian:1", error), "3.12": Base("debian:2")}
    monkeypatch.setattr(build_host, "base_images", lambda *_, **__: bases)
    specs = plan(python="3.11,3.12", platform="amd64")
    assert [spec.run.refused for spec in specs] == [error, None]
    assert dict(specs[1].inputs.arguments)["BASE_IMAGE"] == "debian:2"


def test_secrets_and_agents_reach_every_build(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {
        "build_secrets": ["pypi=env:SOME_NAME", "netrc=file:/n"],
        "build_ssh": "git=/key",
    }
    for spec in plan(kind="ci,prod", python="3.11", platform="amd64", dry_run=True, **given):
        secrets = [secret for secret in spec.inputs.secrets if secret.id != "ca-bundle"]
        assert secrets == [Secret("pypi", variable="SOME_NAME"), Secret("netrc", Path("/n"))]
        assert spec.inputs.ssh == ("git=/key",)
    monkeypatch.delenv("SOME_NAME", raising=False)
    with pytest.raises(UsageError, match="--build-secrets: the variable SOME_NAME of pypi is not"):
        plan(python="3.11", platform="amd64", **given)


def test_what_no_step_sees_changes_no_fingerprint() -> None:
    unseen: list[dict[str, Any]] = [
        {},
        {"apt_mirror": "https://h/debian"},
        {"http_proxy": "http://p:1", "no_proxy": "a"},
        {"build_secrets": ["pypi=env:SOME_NAME"], "build_ssh": "git=/key"},
    ]
    labels = [
        dict(spec.inputs.labels)[LABEL]
        for given in unseen
        for spec in plan(python="3.11", platform="amd64", dry_run=True, **given)
    ]
    assert len({*labels}) == 1


def test_sources_of_debian_packages_are_a_context_and_an_input(tmp_path: Path) -> None:
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    file = tmp_path / "backports.sources"
    file.write_text(f"Types: deb\nURIs: http://h/d\nSuites: x-backports\nSigned-By: {key}\n")
    (plain,) = plan(python="3.11", platform="amd64")
    (spec,) = plan(python="3.11", platform="amd64", apt_sources=str(file))
    assert [name for name, _ in spec.inputs.contexts] == ["apt"]
    assert plain.inputs.content
    assert spec.inputs.content
    assert not plain.inputs.contexts
    added = spec.inputs.content.files.keys() - plain.inputs.content.files.keys()
    assert added == {"apt:sources/0-backports.sources"}
    assert "apt" in [secret.id for secret in spec.inputs.secrets]
    assert plain.inputs.content.fingerprint != spec.inputs.content.fingerprint


def test_a_large_ca_bundle_is_a_context_and_changes_no_fingerprint(tmp_path: Path) -> None:
    certificates = [
        f"-----BEGIN CERTIFICATE-----\n{number:064d}\n-----END CERTIFICATE-----\n"
        for number in range(6000)
    ]
    made = {}
    for count in (10, 6000):
        bundle = tmp_path / "ca.pem"
        bundle.write_text("".join(certificates[:count]))
        (made[count],) = plan(python="3.11", platform="amd64", ca_bundle=str(bundle))
    small, large = made[10].inputs, made[6000].inputs
    assert ([secret.id for secret in small.secrets], small.contexts) == (["ca-bundle"], ())
    ((name, folder),) = large.contexts
    assert (name, large.secrets) == ("ca-bundle", ())
    assert (folder / "ca-bundle.pem").read_text().count("BEGIN") == 6000
    assert small.labels == large.labels


OWN = """
repository = "team/airflow"
pythons = ["3.11", "3.12"]
[builders.mine]
[images.site]
from = "dags"
dockerfile = "Dockerfile.site"
[images.dags]
dags = "dags"
"""


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two images of its own, one on top of the other."""
    (tmp_path / "images.toml").write_text(OWN)
    (tmp_path / "dags/team").mkdir(parents=True)
    (tmp_path / "dags/team/a.py").touch()
    (tmp_path / "Dockerfile.site").write_text("ARG AIRFLOW_IMAGE\nFROM ${AIRFLOW_IMAGE}\n")
    (tmp_path / "Dockerfile").write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nUSER 50000\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_own_images_follow_what_they_stand_on(team: Path) -> None:
    del team
    specs = plan(kind="site", python="3.11", platform="amd64")
    assert [(spec.identity, spec.needs) for spec in specs] == [
        ("prod-3.11-amd64", ""),
        ("dags-3.11-amd64", "prod-3.11-amd64"),
        ("site-3.11-amd64", "dags-3.11-amd64"),
    ]
    prod, dags, site = specs
    assert site.output.image.endswith("/main/site/python3.11")
    assert dags.inputs.base == prod.output.tags[0]
    assert site.inputs.base == dags.output.tags[0]
    assert [spec.inputs.pull for spec in specs] == [True, False, False]
    assert [spec.output.layout for spec in specs] == [None, None, None]


def test_a_folder_of_which_nothing_enters_is_named(team: Path) -> None:
    (team / "dags/team/a.py").unlink()
    with pytest.raises(UsageError) as caught:
        plan(kind="dags", python="3.11", platform="amd64")
    assert str(caught.value) == (
        "images.toml: images.dags.dags: nothing of dags enters the build: git tracks none of its "
        "files, or a .dockerignore excludes them"
    )


def test_what_stands_on_a_refused_build_is_refused_for_the_same_reason(
    team: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del team
    error = EngineError("no base image")
    bases = {"3.11": Base("python:3.11", error)}
    monkeypatch.setattr(build_host, "base_images", lambda *_, **__: bases)
    specs = plan(kind="site", python="3.11", platform="amd64")
    assert [spec.run.refused for spec in specs] == [error] * 3


def test_a_base_image_gets_the_same_tags(team: Path) -> None:
    del team
    specs = plan(kind="dags", python="3.11", platform="amd64", tag="v1", push=True)
    assert [spec.output.tags[0].rpartition(":")[2] for spec in specs] == ["v1", "v1"]
    assert specs[1].inputs.base == specs[0].output.tags[0]
    assert [spec.inputs.pull for spec in specs] == [True, True]


def test_a_changed_base_is_another_fingerprint_all_the_way_up(team: Path) -> None:
    def labels() -> list[str]:
        specs = plan(kind="site", python="3.11", platform="amd64")
        return [dict(spec.inputs.labels)[LABEL] for spec in specs]

    before = labels()
    (team / "Dockerfile").write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN true\nUSER 50000\n")
    assert all(old != new for old, new in zip(before, labels(), strict=True))
    (team / "Dockerfile.site").write_text("ARG AIRFLOW_IMAGE\nFROM ${AIRFLOW_IMAGE}\nRUN false\n")
    assert len({*before, *labels()}) == 6


@pytest.mark.parametrize(
    ("options", "needs", "layouts"),
    [
        ({"push": True}, {"dags-3.11-amd64": "prod-3.11-amd64"}, set()),
        ({"builder": "mine"}, {"dags-3.11-amd64": "prod-3.11-amd64"}, {"prod-3.11-amd64"}),
        (
            {"platform": "amd64,arm64", "push": True},
            {"dags-3.11-amd64": "prod-3.11-amd64", "dags-3.11-arm64": "prod-3.11-arm64"},
            set(),
        ),
        (
            {"platform": "amd64,arm64", "builder": "mine"},
            dict.fromkeys(("dags-3.11-amd64", "dags-3.11-arm64", "dags-3.11"), "prod-3.11"),
            {"prod-3.11"},
        ),
    ],
)
def test_the_image_below_is_where_the_builder_finds_it(
    team: Path, options: dict[str, Any], needs: dict[str, str], layouts: set[str]
) -> None:
    del team
    specs = plan(**{"kind": "dags", "python": "3.11", "platform": "amd64", **options})
    assert {spec.identity: spec.needs for spec in specs if spec.needs} == needs
    assert {spec.identity for spec in specs if spec.output.layout} == layouts
