from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build_tasks.config import parsing
from build_tasks.errors import UsageError
from build_tasks.model.build import Secret

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,10}", fullmatch=True)


@given(names=st.lists(NAMES), blank=st.sampled_from(["", " ", "\t"]))
def test_a_list_and_its_text_mean_the_same(names: list[str], blank: str) -> None:
    text = f"{blank},{blank}".join([*names, ""])
    assert parsing.extras(text, "here") == parsing.extras(names, "here") == tuple(names)


@given(
    parts=st.lists(
        st.sampled_from(["a", "b>=2,<3", "c[x,y]", "d[x]>=1,!=2", "e; python_version<'3'"])
    )
)
def test_commas_inside_of_a_requirement_do_not_end_it(parts: list[str]) -> None:
    assert parsing.requirements(",".join(parts), "here") == parsing.requirements(parts, "here")


@pytest.mark.parametrize("text", ["", ",", " , ,, "])
def test_a_text_of_nothing_is_an_empty_list(text: str) -> None:
    assert parsing.clients(text, "here") == ()
    assert parsing.apt_packages(text, "here") == ()


@pytest.mark.parametrize(
    ("value", "size"), [("0", 0), ("900", 900), (900, 900), ("007", 7), (0, 0)]
)
def test_a_size_is_a_number_of_megabytes(value: object, size: int) -> None:
    assert parsing.megabytes(value, "here") == size


@pytest.mark.parametrize("value", [-1, "-1", "1 GB", "", " 9", "²", 1.5, True, None, [9]])
def test_anything_else_is_no_size(value: object) -> None:
    with pytest.raises(UsageError, match=r"^here: expected a number of megabytes like 900, got "):
        parsing.megabytes(value, "here")


@pytest.mark.parametrize(
    ("value", "truth"), [(True, True), ("TRUE", True), ("1", True), ("no", False), ("0", False)]
)
def test_a_flag_may_be_a_word(value: object, truth: bool) -> None:
    assert parsing.boolean(value, "here") is truth


@pytest.mark.parametrize("value", ["", "2", "maybe", 1, None, []])
def test_anything_else_is_no_flag(value: object) -> None:
    with pytest.raises(UsageError, match=r"^here: expected true or false, got "):
        parsing.boolean(value, "here")


def test_clients_are_a_few() -> None:
    assert parsing.clients("mysql, postgres", "here") == ("mysql", "postgres")
    with pytest.raises(UsageError, match=r"^here: unknown database client 'x': choose postgres, "):
        parsing.clients(["postgres", "x"], "here")
    with pytest.raises(UsageError, match=r"^here: mysql occurs twice"):
        parsing.clients("mysql,mysql", "here")
    for packages in parsing.CLIENTS.values():
        assert parsing.apt_packages(list(packages), "here") == packages


@pytest.mark.parametrize("name", ["curl-", "c", "-y", "Curl"])
def test_what_apt_get_would_not_install_is_no_debian_package(name: str) -> None:
    with pytest.raises(UsageError, match=r"^here: expected the name of a Debian package, or"):
        parsing.apt_packages([name], "here")
    assert parsing.apt_packages(["g++", "libstdc++6", "bc"], "here")


@pytest.mark.parametrize("parse", [parsing.default_index, parsing.index, parsing.apt_mirror])
def test_the_port_of_an_address_is_a_number(parse: parsing.Matching) -> None:
    for rest in ("h", "h:8080", "10.0.0.1:1/x@y:z", "[::1]:80/x", "[::1]/", "me:pw@h:1/x", "h?a#b"):
        assert parse(f"https://{rest}", "here") == f"https://{rest}"
    for rest in ("", "/x", "h:", "h:port/x", "h:123456", "::1/x", "h x"):
        with pytest.raises(UsageError, match=r"^here: expected "):
            parse(f"https://{rest}", "here")
    for rest in ("p:port", "p:3128/path", ":3128"):
        with pytest.raises(UsageError, match=r"^here: expected an address like http://proxy"):
            parsing.proxy(f"http://{rest}", "here")


def test_a_choice_is_one_of_a_few_values() -> None:
    mode = parsing.constraints_mode
    for name in mode.values:
        assert mode(name, "here") == name
    with pytest.raises(UsageError, match=r"^here: unknown constraints mode 'x': choose "):
        mode("x", "here")


def test_no_registry_is_the_engines_default() -> None:
    assert parsing.registry("", "here") == ""


@pytest.mark.parametrize(
    ("value", "version"), [("3.3.2", "3.3.2"), ("3.03", "3.3"), ("3.4.0-rc1", "3.4.0rc1")]
)
def test_versions_are_normal(value: str, version: str) -> None:
    assert parsing.version(value, "here") == version


def test_unknown_image_lists_choices() -> None:
    with pytest.raises(UsageError, match=r"^--kind: unknown image 'dev': choose ci"):
        parsing.Choice("image", ("ci", "prod"))("dev", "--kind")


@pytest.mark.parametrize("text", ["latest", "v1", "A_b.c-d", "x" * 128])
def test_valid_tag_is_accepted(text: str) -> None:
    assert parsing.tag(text, "--tag") == text


@pytest.mark.parametrize("text", ["", ".x", "-x", "a/b", "a:b", "x" * 129, "é"])
def test_invalid_tag_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--tag: expected a tag "):
        parsing.tag(text, "--tag")


def test_secrets_are_places_and_errors_show_no_value() -> None:
    places = {"a.b": "env:NAME", "netrc": "file:~/.netrc"}
    expected = (Secret("a.b", variable="NAME"), Secret("netrc", Path("~/.netrc")))
    assert parsing.secrets(places, "here") == expected
    assert parsing.secrets(["a.b=env:NAME", "netrc=file:~/.netrc"], "here") == expected
    assert parsing.secrets("a.b=env:NAME,netrc=file:~/.netrc", "here") == expected
    for wrong in ("hunter2", ["a=hunter2"], {"a": "hunter2"}, {"a": "env:1hunter2"}, 2, [2]):
        with pytest.raises(UsageError, match=r"^here: expected a table like ") as caught:
            parsing.secrets(wrong, "here")
        assert "hunter2" not in str(caught.value)


def test_the_suites_own_secrets_come_from_other_settings() -> None:
    with pytest.raises(UsageError, match=r"^here: the id ca-bundle is set by ca-bundle: choose"):
        parsing.secrets({"ca-bundle": "file:x"}, "here")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("A", "expected NAME=VALUE, got 'A'"),
        ({"1A": "x"}, "expected the name of a variable, got '1A'"),
        ({"A": 1}, "A: expected a string, got 1"),
        (3, 'expected a table like { ACCEPT_EULA = "Y" }, got 3'),
    ],
)
def test_a_table_has_names_and_values(value: object, message: str) -> None:
    assert parsing.variables("A=1,B=x=y", "here") == {"A": "1", "B": "x=y"}
    with pytest.raises(UsageError) as caught:
        parsing.variables(value, "here")
    assert str(caught.value) == f"here: {message}"


@pytest.mark.parametrize(("value", "uid"), [(50000, 50000), ("1001", 1001), (2**31 - 1, 2**31 - 1)])
def test_a_user_has_an_id(value: object, uid: int) -> None:
    assert parsing.uid(value, "here") == uid


@pytest.mark.parametrize("value", [0, 99, 2**31, "-5", "01000", "airflow", "", True, 1000.5])
def test_an_id_that_no_user_can_have_is_refused(value: object) -> None:
    with pytest.raises(
        UsageError, match=r"^here: expected the id of a user from 100 to 2147483647"
    ):
        parsing.uid(value, "here")


@pytest.mark.parametrize(
    "value", ["/opt/airflow", "/airflow", "/usr/local/airflow", "/var/lib/airflow", "/home/a.b-c_d"]
)
def test_a_folder_of_the_image_is_absolute(value: str) -> None:
    assert parsing.folder(value, "here") == value


@pytest.mark.parametrize(
    "value",
    [
        *("", "/", "airflow", "/opt/airflow/", "/opt//airflow", "/opt/../etc", "/opt/a b", 7),
        *("/etc", "/etc/airflow", "/usr", "/opt", "/opt/venv", "/opt/venv/lib", "/home", "/root"),
        *("/var/log", "/usr/local/bin", "/tmp/airflow", "/lib64", "/opt/$HOME"),
        *("/entrypoint", "/clean-logs", "/var/run/airflow", "/var/lib/dpkg", "/var/cache/apt"),
    ],
)
def test_a_folder_that_others_use_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match=r"^here: expected a folder that nothing else uses, like "):
        parsing.folder(value, "here")
