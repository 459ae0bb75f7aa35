from __future__ import annotations

import tomllib
from importlib import metadata

import pytest

from build_tasks.config.options import FORMER_NAMES, Options
from build_tasks.config.project import SHIPPED as ROOT
from build_tasks.errors import UsageError
from build_tasks.front import command_line
from build_tasks.front.verbs import VERBS

BUILD = VERBS["image.build"]


def parse(*words: str) -> Options:
    return command_line.parse(BUILD, words, "build_ci-3.9")


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
    ],
)
def test_a_former_option_works_with_a_note(
    capsys: pytest.CaptureFixture[str], old: tuple[str, ...], key: str
) -> None:
    new = f"--{key.replace('.', '-')}"
    assert parse(*old).settings().origins[key] == new
    assert f"{old[0].partition('=')[0]} is now called {new}\n" in capsys.readouterr().err


@pytest.mark.parametrize("old", ["--slim", "--prod-slim"])
def test_a_former_flag_works_with_a_note(capsys: pytest.CaptureFixture[str], old: str) -> None:
    settings = parse(old).settings()
    assert (settings.prod_slim, settings.origins["prod.profile"]) == (True, "--prod-profile")
    assert f"{old} is now called --prod-profile slim\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prod-slim=yes"], "--prod-slim: takes no value"),
        (
            ["--prod-slim", "--prod-profile", "official"],
            "--prod-slim: --prod-profile is given, too: leave one of them out",
        ),
        (["--pusch"], "build_ci-3.9: unknown option '--pusch': did you mean --push?"),
        (["--pus=1"], "build_ci-3.9: unknown option '--pus': did you mean --push?"),
        (
            ["--a\vb"],
            "build_ci-3.9: unknown option '--a\\x0bb': `build_ci-3.9 -h` lists the valid ones",
        ),
        (
            ["zzz"],
            "build_ci-3.9: unknown argument 'zzz': `build_ci-3.9 -h` lists the valid ones",
        ),
        (["--tag"], "--tag: needs a value"),
        (["--push=yes"], "--push: takes no value"),
        (["--branch", "a", "--branch=b"], "--branch: given twice"),
        (["--jobs", "zero"], "--jobs: expected an integer >= 1, got 'zero'"),
    ],
)
def test_a_wrong_option_is_one_line_with_the_nearest_one(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(*words)
    assert str(caught.value) == message


def test_of_few_options_all_are_listed() -> None:
    with pytest.raises(UsageError, match=r"engine.start: unknown option '--x': choose --emulate"):
        command_line.parse(VERBS["engine.start"], ["--x"], "engine.start")


@pytest.mark.parametrize("name", [*VERBS])
def test_help_says_what_a_verb_does_and_has_every_option_and_two_examples(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    verb = VERBS[name]
    with pytest.raises(SystemExit) as exit_:
        command_line.parse(verb, ["-h"], name, f"invoke {name}")
    assert exit_.value.code == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert (verb.body.__doc__ or "-")[:50].partition("\n")[0] in shown
    for option in verb.options:
        assert f"  --{option.name}" in shown or option.positional or option.rest
    assert not any(f"--{former} " in shown for former in FORMER_NAMES)
    assert shown.partition("examples:")[2].count(f"  invoke {name}") == (2 if verb.options else 1)


def test_help_groups_options_and_shows_the_valid_values(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    shown = capsys.readouterr().out
    titles = [line for line in shown.splitlines() if line.endswith(":") and line[:1] != " "]
    assert titles == ["options:", "what:", "where:", "cache:", "output:", "run:", "examples:"]
    assert "--cache-mode {registry,local,disabled}" in shown
    assert "--python X.Y[,...]" in shown
    assert "--constraints-mode MODE" in shown  # its values are too long for a placeholder


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
    load = VERBS["image.load"]
    given = command_line.parse(load, ["my file", "--python", "3.11"], "image.load")
    assert (given.text("file"), given.text("python")) == ("my file", "3.11")
    assert command_line.parse(load, [], "image.load").text("file") is None
    assert command_line.parse(load, ["-"], "image.load").text("file") == "-"
    with pytest.raises(UsageError, match=r"image.load: unknown argument 'two': "):
        command_line.parse(load, ["one", "two"], "image.load")


def test_an_option_without_a_value_ends_before_the_next_word() -> None:
    given, rest = command_line.read(
        VERBS["matrix"], ["--json", "settings", "--json"], "matrix", "invoke matrix"
    )
    assert (given, rest) == (Options({"json": True}), ["settings", "--json"])


RUN = VERBS["image.run"]


@pytest.mark.parametrize(
    "words",
    [
        ("--sources", "mount", "--", "pytest", "-k", "x", "--python"),
        ("--sources", "mount", "pytest", "-k", "x", "--python"),
    ],
)
def test_what_follows_the_options_is_the_command(words: tuple[str, ...]) -> None:
    given = command_line.parse(RUN, words, "test_ci-3.11")
    assert given.texts("command") == ("pytest", "-k", "x", "--python")
    assert given.text("sources") == "mount"
    assert given.text("python") is None


def test_a_command_may_be_anything_after_two_hyphens() -> None:
    assert command_line.parse(RUN, ("--", "--", "-h"), "x").texts("command") == ("--", "-h")
    assert command_line.parse(RUN, ("--",), "x").texts("command") == ()
    assert command_line.read(RUN, ("pytest", "x"), "x", "x")[1] == ["pytest", "x"]


def test_an_option_before_the_command_has_to_be_known() -> None:
    with pytest.raises(UsageError, match=r"^test_ci-3\.11: unknown option '--command'"):
        command_line.parse(RUN, ("--command", "x"), "test_ci-3.11")


@pytest.mark.parametrize("place", ["test_ci-3.11: ", ""])
def test_an_option_of_the_command_alone_is_one_line(place: str) -> None:
    with pytest.raises(UsageError) as caught:
        command_line.parse(RUN, ("-k", "x"), place.removesuffix(": "), "c")
    assert str(caught.value) == f"{place}-k: an option of the command follows it: COMMAND -k"


def test_only_some_verbs_take_a_command() -> None:
    with pytest.raises(UsageError, match=r"unknown option '--'"):
        parse("--", "pytest")


def test_help_shows_where_the_command_stands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command_line.parse(RUN, ["-h"], "image.run")
    shown = capsys.readouterr().out
    assert shown.startswith("usage: image.run [OPTIONS] [-- COMMAND]\n")
    assert "\n  -- COMMAND " in shown
