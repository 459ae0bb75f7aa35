from __future__ import annotations

from build_tasks.config import options
from build_tasks.config.options import Group, Option, Options, collect


def test_repeated_values_are_joined_unless_they_contain_commas() -> None:
    takes = (
        Option("tag", Group.OUTPUT, "", "TAG", several=True),
        Option("cache-from", Group.CACHE, "", "CACHE", repeat=True),
    )
    given = collect({"tag": ["a,b", "c"], "cache-from": ["x,y", "z"]}, takes)
    assert given == Options({"tag": "a,b,c", "cache-from": ["x,y", "z"]})
    assert collect({"tag": [], "cache-from": []}, takes).items("tag") == []


def test_options_of_settings_are_named_after_their_keys() -> None:
    names = {option.name: option for option in options.SETTINGS}
    assert {"cache-mode", "platform", "dependencies-apt-dev", "prod-slim"} <= {*names}
    assert "pythons" not in names
    assert names["prod-slim"].flag
    assert names["platform"].placeholder == "PLATFORM[,...]"
    assert names["prod-clients"].placeholder == "{postgres,mysql,mssql}[,...]"
    assert names["cache-mode"].help.endswith(" (default: registry)")


def test_verifying_takes_every_setting_of_a_build() -> None:
    assert {*options.SETTINGS} <= {*options.VERIFY}
