from __future__ import annotations

import tomllib
from importlib import metadata

import pytest

from build_tasks.config.options import Options
from build_tasks.config.settings import ROOT
from build_tasks.errors import UsageError
from build_tasks.front import command_line
from build_tasks.front.verbs import BUILD_ALL, VERBS

BUILD = VERBS["image.build"].options


def parse(*words: str) -> Options:
    return command_line.parse("build_ci-3.9", BUILD, words)


def test_texts_and_flags_are_read() -> None:
    given = parse("--push", "--tag", "a,b", "--cache-mode=local")
    assert (given.flag("push"), given.flag("load")) == (True, False)
    assert (given.text("tag"), given.text("progress")) == ("a,b", None)
    assert given.settings().cache_mode == "local"


def test_commas_and_repetition_are_equivalent() -> None:
    given = parse(
        "--python", "3.9,3.10", "--python", "3.11", "--platform=amd64", "--platform=arm64"
    )
    assert given.items("python") == ["3.9", "3.10", "3.11"]
    assert given.settings().platforms == ("linux/amd64", "linux/arm64")


def test_values_with_commas_are_repeated() -> None:
    given = parse("--cache-from", "type=registry,ref=h/a", "--cache-from", "type=registry,ref=h/b")
    assert [dict(source.attributes)["ref"] for source in given.settings().cache_from] == [
        "h/a",
        "h/b",
    ]


@pytest.mark.parametrize(
    ("old", "key"),
    [
        (("--python-deps", "pandas"), "dependencies.python"),
        (("--cache=local",), "cache.mode"),
        (("--slim",), "prod.slim"),
    ],
)
def test_a_former_option_works_with_a_note(
    capsys: pytest.CaptureFixture[str], old: tuple[str, ...], key: str
) -> None:
    new = f"--{key.replace('.', '-')}"
    assert parse(*old).settings().origins[key] == new
    assert f"{old[0].partition('=')[0]} is now called {new}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--pusch"], "build_ci-3.9: unknown option '--pusch': did you mean --push?"),
        (["--pus=1"], "build_ci-3.9: unknown option '--pus': did you mean --push?"),
        (["--a\vb"], "build_ci-3.9: unknown option '--a\\x0bb': -h lists the valid ones"),
        (["extras"], "build_ci-3.9: unknown argument 'extras': -h lists the valid ones"),
        (["--tag"], "--tag: needs a value"),
        (["--push=yes"], "--push: takes no value"),
    ],
)
def test_a_wrong_option_is_one_line_with_the_nearest_one(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(*words)
    assert str(caught.value) == message


def test_of_few_options_all_are_listed() -> None:
    with pytest.raises(UsageError, match=r"engine.start: unknown option '--x': choose --emulate"):
        command_line.parse("engine.start", VERBS["engine.start"].options, ["--x"])


def test_any_other_error_of_argparse_is_one_line() -> None:
    with pytest.raises(UsageError, match=r"^p: 'something\\nelse'$"):
        command_line._Parser("p", BUILD, "p", ()).error("something\nelse")


@pytest.mark.parametrize("name", [*VERBS])
def test_help_has_every_option_and_two_examples(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    verb = VERBS[name]
    with pytest.raises(SystemExit) as exit_:
        command_line.parse(
            name, verb.options, ["-h"], command=f"invoke {name}", examples=verb.examples
        )
    assert exit_.value.code == 0
    shown = capsys.readouterr().out
    for option in verb.options:
        assert f"  --{option.name}" in shown or option.positional
        assert not option.old_name or f"--{option.old_name} " not in shown
    assert shown.partition("examples:")[2].count(f"  invoke {name}") == 2


def test_help_groups_options_and_shows_the_valid_values(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    shown = capsys.readouterr().out
    titles = [line for line in shown.splitlines() if line.endswith(":") and line[:1] != " "]
    assert titles == ["options:", "what:", "where:", "cache:", "output:", "run:"]
    assert "--cache-mode {registry,local,disabled}" in shown
    assert "--python X.Y[,...]" in shown


@pytest.mark.parametrize("verb", [*VERBS.values(), BUILD_ALL], ids=lambda verb: verb.function)
def test_the_examples_are_valid_and_no_option_occurs_twice(verb: object) -> None:
    assert isinstance(verb, type(BUILD_ALL))
    names = [option.name for option in verb.options]
    assert len(names) == len({*names})
    for example in verb.examples:
        command_line.parse("verb", verb.options, example.split())
    assert (verb.body.__doc__ or "").endswith(".")


def test_the_version_is_that_of_the_package_or_of_the_checkout(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit):
        parse("--version")
    assert capsys.readouterr().out == f"{metadata.version('airflow-images')}\n"

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert command_line.version() == project["project"]["version"]


def test_a_positional_argument_needs_no_name() -> None:
    load = VERBS["image.load"].options
    given = command_line.parse("image.load", load, ["my file", "--python", "3.11"])
    assert (given.text("file"), given.text("python")) == ("my file", "3.11")
    assert command_line.parse("image.load", load, []).text("file") is None
    with pytest.raises(UsageError, match=r"image.load: unknown argument 'two': "):
        command_line.parse("image.load", load, ["one", "two"])
