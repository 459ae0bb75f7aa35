from __future__ import annotations

import pytest

from build_tasks import options
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
        (["--pusch"], "unrecognized arguments: --pusch"),
        (["--pus"], "unrecognized arguments: --pus"),
        (["extra"], "unrecognized arguments: extra"),
        (["--tag"], "argument --tag: expected one argument"),
        (["--push=yes"], "argument --push: ignored explicit argument 'yes'"),
    ],
)
def test_a_wrong_option_is_one_line_with_the_right_ones(arguments: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(*arguments)
    assert str(caught.value).startswith(f"build_ci-3.9 {said}: choose of --tag, --load, ")
    assert "\n" not in str(caught.value)


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
    with pytest.raises(UsageError, match=r"unrecognized arguments: two: choose of --kind, "):
        options.parse("image.load", options.LOAD, ["one", "two"])


def test_every_setting_of_prod_that_a_build_has_is_an_option_of_verifying_it() -> None:
    """The checks follow what the build was told."""
    assert set(options.SETTINGS) <= set(options.VERIFY)
    assert {"slim", "constraints-location", "extras"} <= {one.name for one in options.VERIFY}
