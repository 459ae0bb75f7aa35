from __future__ import annotations

import pytest

from build_tasks.config import options
from build_tasks.config.options import Option, Options, collect
from build_tasks.errors import UsageError

JOBS = Option("jobs", "run", "", "N", least=1)


def test_repeated_values_are_joined_unless_they_contain_commas() -> None:
    takes = (
        Option("tag", "output", "", "TAG", several=True),
        Option("cache-from", "cache", "", "CACHE", repeat=True),
    )
    given = collect({"tag": ["a,b", "c"], "cache-from": ["x,y", "z"]}, takes)
    assert given == Options({"tag": "a,b,c", "cache-from": ["x,y", "z"]})
    assert collect({"tag": [], "cache-from": []}, takes) == Options({})


def test_an_empty_value_clears() -> None:
    takes = (Option("ca-bundle", "where", "", "FILE"),)
    assert collect({"ca-bundle": [""]}, takes).text("ca-bundle") == ""


def test_numbers_are_read() -> None:
    assert collect({"jobs": ["007"]}, (JOBS,)).number("jobs") == 7
    assert collect({}, (JOBS,)).number("jobs") is None


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "²", " 1", ""])
def test_anything_else_is_no_number(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--jobs: expected an integer >= 1, got "):
        collect({"jobs": [text]}, (JOBS,))


@pytest.mark.parametrize("text", ["1001", "9" * 5000])
def test_a_number_has_a_limit(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--jobs: expected an integer <= 1000, got "):
        collect({"jobs": [text]}, (JOBS,))


def test_options_of_settings_are_named_after_their_keys() -> None:
    names = {option.name: option for option in options.SETTINGS}
    assert {"cache-mode", "platform", "dependencies-apt-dev", "index-offline"} <= {*names}
    assert "pythons" not in names
    assert names["index-offline"].flag
    assert names["index-offline"].usage == "--index-offline"
    assert names["platform"].usage == "--platform PLATFORM[,...]"
    assert names["prod-clients"].usage == "--prod-clients {postgres,mysql,mssql}[,...]"
    assert names["cache-mode"].help.endswith(" (default: registry)")


def test_former_names_are_not_names_of_now() -> None:
    assert not {*options.FORMER_NAMES, *options.FORMER_FLAGS} & {
        option.name for option in options.SETTINGS
    }


def test_a_command_keeps_its_words() -> None:
    takes = (Option("command", "run", "", "COMMAND", rest=True),)
    given = collect({"command": ["a", "b,c"]}, takes)
    assert given.texts("command") == ("a", "b,c")
    assert given.texts("other") == ()
    assert takes[0].usage == "-- COMMAND"


def test_some_options_are_replaced() -> None:
    assert Options({"a": "1", "b": "2"}).replace({"b": "3"}) == Options({"a": "1", "b": "3"})
