from __future__ import annotations

import pytest

from build_tasks.config import options
from build_tasks.errors import UsageError


def parse(*arguments: str) -> options.Options:
    return options.parse("build_ci-3.9", options.BUILD, arguments)


def test_texts_and_flags_are_read() -> None:
    given = parse("--push", "--tag", "a,b", "--cache=local")
    assert (given.flag("push"), given.flag("load")) == (True, False)
    assert (given.text("tag"), given.text("progress")) == ("a,b", None)
    assert given.settings().cache_mode == "local"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pusch"], "build_ci-3.9: unknown option '--pusch': did you mean --push?"),
        (["--pus=1"], "build_ci-3.9: unknown option '--pus': did you mean --push?"),
        (["--a\vb"], "build_ci-3.9: unknown option '--a\\x0bb': -h lists the valid ones"),
        (["extra"], "build_ci-3.9: unknown argument 'extra': did you mean --extras?"),
        (["--tag"], "--tag: needs a value"),
        (["--push=yes"], "--push: takes no value"),
    ],
)
def test_a_wrong_option_is_one_line_with_the_right_one(arguments: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(*arguments)
    assert str(caught.value) == said


def test_of_few_options_all_are_listed() -> None:
    with pytest.raises(UsageError, match=r"engine.start: unknown option '--x': choose --emulate"):
        options.parse("engine.start", options.ENGINE_START, ["--x"])


def test_what_argparse_says_besides_is_one_line() -> None:
    with pytest.raises(UsageError, match=r"^p: 'something\\nelse'$"):
        options._Parser("p", options.BUILD).error("something\nelse")


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse("-h")
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"--{option.name}" in shown for option in options.BUILD)


def test_no_verb_has_an_option_twice() -> None:
    for name, takes in vars(options).items():
        if (
            name.isupper()
            and isinstance(takes, tuple)
            and name not in {"FIELDS", "FORMATS", "PROGRESS"}
        ):
            names = [option.name for option in takes]
            assert len(names) == len(set(names)), name


def test_what_stands_alone_needs_no_name() -> None:
    given = options.parse("image.load", options.LOAD, ["my file", "--python", "3.11"])
    assert (given.text("file"), given.text("python")) == ("my file", "3.11")
    assert options.parse("image.load", options.LOAD, []).text("file") is None
    with pytest.raises(UsageError, match=r"image.load: unknown argument 'two': "):
        options.parse("image.load", options.LOAD, ["one", "two"])


def test_every_setting_of_prod_that_a_build_has_is_an_option_of_verifying_it() -> None:
    """The checks follow what the build was told."""
    assert set(options.SETTINGS) <= set(options.VERIFY)
    assert {"slim", "constraints-location", "extras"} <= {one.name for one in options.VERIFY}
