from __future__ import annotations

import errno

import pytest

from build_tasks.commands import engine
from build_tasks.config.options import SETTINGS, Options
from build_tasks.errors import DiskError
from build_tasks.front import command_line
from build_tasks.front.verbs import BUILD_ALL, SHELL, TEST, VERBS, Verb


def test_help_names_the_defaults_of_each_verb() -> None:
    def of(verb: Verb) -> list[str]:
        return [option.help for option in verb.options if option.name in {"kind", "python"}]

    required = ["ci, prod, or an image of images.toml (default: ci)", "Python versions (required)"]
    everything = [
        "ci, prod, or an image of images.toml (default: all)",
        "Python versions (default: all)",
    ]
    assert of(VERBS["image.build"]) == required
    assert of(VERBS["bake"]) == of(BUILD_ALL) == of(VERBS["image.check"]) == everything


VERBS_OF_ALL = [*VERBS.values(), BUILD_ALL, SHELL, TEST]


@pytest.mark.parametrize("verb", VERBS_OF_ALL, ids=lambda verb: verb.function)
def test_the_examples_are_valid_and_no_option_occurs_twice(verb: Verb) -> None:
    names = [option.name for option in verb.options]
    assert len(names) == len({*names})
    for example in verb.examples:
        command_line.parse(verb, example.split(), "verb")
    assert (verb.body.__doc__ or "").endswith(".")


def test_verifying_takes_every_setting_of_a_build() -> None:
    assert {*SETTINGS} <= {*VERBS["image.verify"].options}


def test_a_verb_runs_its_function_and_raises_errors_of_one_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[Options] = []

    def fail(options: Options) -> None:
        given.append(options)
        raise OSError(errno.EROFS, "Read-only file system", "/x")

    monkeypatch.setattr(engine, "stop_engine", fail)
    options = Options({"purge": True})
    with pytest.raises(DiskError, match=r"^/x: Read-only file system$"):
        VERBS["engine.stop"].run(options)
    assert given == [options]
