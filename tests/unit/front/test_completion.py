from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

import projects
import pytest
from argcomplete.finders import CompletionFinder

from build_tasks.front import completion
from build_tasks.front.verbs import VERBS


def values(verb: str, name: str, prefix: str = "") -> list[str]:
    (option,) = [option for option in VERBS[verb].options if option.name == name]
    return completion.values(option, prefix, str(projects.OWN.file))


def test_values_are_those_of_the_option_and_of_the_project() -> None:
    assert values("image.build", "kind") == ["ci", "prod"]
    assert values("image.build", "python", "3.1") == ["3.10", "3.11", "3.12", "3.13", "3.14"]
    assert values("image.build", "platform") == ["linux/amd64", "linux/arm64"]
    for option in ("airflow-extras", "airflow-extras-add", "ci-extras"):
        assert values("image.build", option, "post") == ["postgres"]
    assert values("image.verify", "image", "ci-3.9") == ["ci-3.9"]
    assert {"default", "airflow-images"} <= {*values("builder.inspect", "builder")}
    assert values("engine.start", "emulate") == ["amd64", "arm64"]


def test_own_images_are_values(tmp_path: Path) -> None:
    file = str(projects.with_own_images(tmp_path))
    build = {option.name: option for option in VERBS["image.build"].named}
    assert completion.values(build["kind"], "", file) == ["ci", "prod", "site", "dags", "tests"]
    (image,) = [option for option in VERBS["image.verify"].options if option.name == "image"]
    assert completion.values(image, "dags-", file) == ["dags-3.11", "dags-3.12"]


def test_the_last_of_several_values_is_completed() -> None:
    assert values("image.build", "kind", "ci,") == ["ci,prod"]
    assert values("image.build", "python", "3.9,3.14,3.1") == [
        *("3.9,3.14,3.10", "3.9,3.14,3.11", "3.9,3.14,3.12", "3.9,3.14,3.13"),
    ]


def test_wrong_settings_and_no_record_give_no_values(tmp_path: Path) -> None:
    (option,) = [option for option in VERBS["matrix"].options if option.name == "builder"]
    assert completion.values(option, "", str(tmp_path / "missing.toml")) == []
    assert values("image.explain", "record") == []


def test_the_shell_is_answered_with_all_tasks_and_options(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsers: list[ArgumentParser] = []
    monkeypatch.setenv("_ARGCOMPLETE", "1")
    monkeypatch.setattr(completion, "autocomplete", parsers.append)
    completion.answer()
    finder = CompletionFinder(parsers[0], always_complete_options="long")

    def candidates(*words: str) -> set[str]:
        *before, prefix = words
        line = ["airflow-images", *before]
        found = finder._get_completions(line, prefix, "", None)  # type: ignore[no-untyped-call]  # its own
        return {text.strip() for text in found}

    assert candidates("image.") == {name for name in VERBS if name.startswith("image.")}
    assert {"--kind", "--push", "--dry-run"} <= candidates("image.build", "--")
    assert candidates("image.build", "--kind", "") == {"ci", "prod"}
    assert candidates("image.build", "--push", "--cache-mode", "l") == {"local"}
    file = str(projects.OWN.file)
    assert candidates("--file", file, "image.verify", "prod-3.9") == {"prod-3.9"}
    assert candidates("image.explain", "--record", "") == set()
