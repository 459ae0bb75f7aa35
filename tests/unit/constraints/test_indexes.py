"""Package indexes: their credentials, and what uv and pip are told of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from build_tasks import process
from build_tasks.config import loading
from build_tasks.constraints import indexes
from build_tasks.constraints.indexes import Indexes
from build_tasks.errors import AuthError, UsageError
from build_tasks.process import Command, Completed
from build_tasks.text.redaction import redact

CORP = "https://pypi.corp.example/simple/"
LOGIN = {"UV_INDEX_CORP_USERNAME": "me", "UV_INDEX_CORP_PASSWORD": "pw-4711-canary"}


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home folder without credentials."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def find(
    environment: dict[str, str] | None = None, /, *, ask: bool = True, **options: Any
) -> Indexes:
    given = {name.replace("_", "-"): value for name, value in options.items()}
    environment = environment or {}
    settings = loading.load(given, environment=environment)
    return indexes.find(settings, ask=ask, environment=environment)


def exported(found: Indexes) -> dict[str, str]:
    lines = found.step_variables().splitlines()
    assert all(line.startswith("export ") for line in lines)
    return dict(line.removeprefix("export ").split("=", 1) for line in lines)


def test_without_settings_a_step_is_told_nothing_and_uv_here_sees_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in os.environ if name.startswith("UV_")]:
        monkeypatch.delenv(name)
    for name in ("DEFAULT_INDEX", "INDEX_STRATEGY", "INSECURE_HOST", "EXCLUDE_NEWER", "FIND_LINKS"):
        monkeypatch.setenv(f"UV_{name}", "x")
    monkeypatch.setenv("UV_INDEX_CORP_PASSWORD", "x")
    monkeypatch.setenv("UV_CACHE_DIR", "/x")  # counts: no other package comes of it
    found = find()
    assert (found.step_variables(), found.netrc(), found.sources) == ("", "", ())
    assert found.environment() == {
        **dict.fromkeys(("UV_DEFAULT_INDEX", "UV_INDEX_STRATEGY", "UV_INSECURE_HOST")),
        **dict.fromkeys(("UV_EXCLUDE_NEWER", "UV_INDEX_CORP_PASSWORD", "UV_FIND_LINKS")),
        "UV_NO_CONFIG": "1",
    }


def test_uv_here_and_a_step_have_the_same_indexes_and_credentials() -> None:
    found = find(
        LOGIN,
        index_default="https://pypi.example/simple/",
        index_extra=f"corp={CORP},https://b.example/s/",
        index_find_links="https://links.example/all.html",
        index_strategy="unsafe-best-match",
        uv_timeout="30",
    )
    assert exported(found) == {
        "UV_DEFAULT_INDEX": "https://pypi.example/simple/",
        "UV_INDEX": f"'{CORP} https://b.example/s/'",
        "UV_FIND_LINKS": "https://links.example/all.html",
        "UV_HTTP_TIMEOUT": "30",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "PIP_INDEX_URL": "https://pypi.example/simple/",
        "PIP_EXTRA_INDEX_URL": f"'{CORP} https://b.example/s/'",
        "PIP_FIND_LINKS": "https://links.example/all.html",
        "PIP_DEFAULT_TIMEOUT": "30",
        "NETRC": "/run/secrets/index-credentials",
    }
    assert found.netrc() == "machine pypi.corp.example login me password pw-4711-canary\n"
    here = found.environment()
    assert here["UV_DEFAULT_INDEX"] == "https://pypi.example/simple/"
    private = "https://me:pw-4711-canary@pypi.corp.example/simple/"
    assert here["UV_INDEX"] == f"{private} https://b.example/s/"
    assert "UV_INDEX_URL" not in here


def test_a_timeout_that_is_set_counts_for_pip_too() -> None:
    """Without one, the steps give pip less than uv."""
    timeouts = {"UV_HTTP_TIMEOUT": "300", "PIP_DEFAULT_TIMEOUT": "300"}
    assert exported(find(uv_timeout="300")) == timeouts


def test_the_default_index_is_named_default() -> None:
    login = {"UV_INDEX_DEFAULT_USERNAME": "me", "UV_INDEX_DEFAULT_PASSWORD": "p@/w"}
    found = find(login, index_default=CORP)
    here = found.environment()["UV_DEFAULT_INDEX"]
    assert here == "https://me:p%40%2Fw@pypi.corp.example/simple/"
    assert found.netrc() == "machine pypi.corp.example login me password p@/w\n"


@pytest.mark.parametrize("name", ["corp", "CORP", "default"])
def test_credentials_of_a_name_go_to_one_index_only(name: str) -> None:
    default = "https://pypi.example/s/" if name == "default" else None
    extra = f"{name}=https://other.example/s/"
    with pytest.raises(UsageError, match=rf"both get the credentials of UV_INDEX_{name.upper()}_"):
        find(LOGIN, index_extra=f"corp={CORP},{extra}", index_default=default)
    assert len(find(LOGIN, index_extra=f"corp={CORP},other=https://other.example/s/").extra) == 2


def test_an_index_of_a_variable_of_uv_counts_with_its_credentials() -> None:
    found = find({"UV_INDEX_URL": "https://me:pw%2F4711@pypi.corp.example:8443/simple/"})
    assert exported(found)["UV_DEFAULT_INDEX"] == "https://pypi.corp.example:8443/simple/"
    assert found.netrc() == "machine pypi.corp.example login me password pw/4711\n"


def test_variables_of_uv_do_not_count_beside_a_setting() -> None:
    found = find({"UV_EXTRA_INDEX_URL": "https://other.example/"}, index_default=CORP)
    assert [source.url for source in found.sources] == [CORP]


@pytest.mark.parametrize("named", [False, True])
def test_credentials_of_a_netrc_file_are_those_of_the_host(home: Path, named: bool) -> None:
    file = home / ("mine" if named else ".netrc")
    file.write_text(
        "machine pypi.corp.example login me password pw1\n"
        "machine other.example login you password secret-of-others\n"
    )
    found = find({"NETRC": str(file)} if named else {}, index_default=CORP)
    assert found.netrc() == "machine pypi.corp.example login me password pw1\n"


def test_a_netrc_entry_of_another_user_does_not_count(home: Path) -> None:
    (home / ".netrc").write_text("machine pypi.corp.example login me password pw1\n")
    with pytest.raises(UsageError, match=r"^--index-extra: no password of you for https://pypi\."):
        find({"UV_INDEX_CORP_USERNAME": "you"}, index_extra=f"corp={CORP}")


def test_a_broken_netrc_file_is_one_line_without_its_words(home: Path) -> None:
    (home / ".netrc").write_text("machine pypi.corp.example\nlogin me pasword canary-4711\n")
    with pytest.raises(UsageError) as caught:
        find({}, index_default=CORP)
    assert str(caught.value) == f"{home}/.netrc: line 2: is not in netrc's format"


class Keyring:
    """The program keyring, which has one password."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.asked: list[Command] = []

    def __call__(self, command: Command, **_: object) -> Completed:
        self.asked.append(command)
        has = command[2:] == (self.service, "me")
        return Completed(command, 0 if has else 1, "pw-of-keyring-4711\n" if has else "", "")


@pytest.mark.parametrize("service", [CORP, "pypi.corp.example"])
def test_a_keyring_has_the_password(monkeypatch: pytest.MonkeyPatch, service: str) -> None:
    keyring = Keyring(service)
    monkeypatch.setattr(process, "run", keyring)
    found = find(
        {"UV_INDEX_CORP_USERNAME": "me"}, index_extra=f"corp={CORP}", index_keyring="subprocess"
    )
    assert found.netrc() == "machine pypi.corp.example login me password pw-of-keyring-4711\n"
    assert keyring.asked[0] == ("keyring", "get", CORP, "me")
    assert redact("it says pw-of-keyring-4711") == "it says ***"


def test_a_dry_run_asks_no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "run", pytest.fail)
    user = {"UV_INDEX_CORP_USERNAME": "me"}
    found = find(user, ask=False, index_extra=f"corp={CORP}", index_keyring="subprocess")
    assert exported(found)["NETRC"] == "/run/secrets/index-credentials"


def test_a_password_that_the_keyring_does_not_have_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "run", Keyring("other"))
    user = {"UV_INDEX_CORP_USERNAME": "me"}
    with pytest.raises(AuthError, match=r"^--index-extra: the keyring has no password of me for h"):
        find(user, index_extra=f"corp={CORP}", index_keyring="subprocess")


def test_a_folder_alone_needs_no_network(tmp_path: Path) -> None:
    folder = tmp_path / "my #wheels%"
    folder.mkdir()
    (folder / "a-1-py3-none-any.whl").touch()
    found = find(index_find_links=str(folder), index_offline="true")
    assert exported(found) == {
        "UV_DEFAULT_INDEX": "file:///run/wheelhouse",
        "UV_FIND_LINKS": "file:///run/wheelhouse",
        "UV_OFFLINE": "1",
        "PIP_FIND_LINKS": "file:///run/wheelhouse",
        "PIP_NO_INDEX": "1",
    }
    place = f"file://{tmp_path}/my%20%23wheels%25"
    assert found.environment()["UV_FIND_LINKS"] == place
    assert found.environment()["UV_DEFAULT_INDEX"] == place


def test_uv_here_reads_a_folder_whose_path_has_a_comma(tmp_path: Path) -> None:
    folder = tmp_path / "a, b"
    folder.mkdir()
    (folder / "a-1-py3-none-any.whl").touch()
    (tmp_path / "images.toml").write_text('index.find-links = ["a, b"]\n')
    settings = loading.load(environment={}, file=tmp_path / "images.toml")
    found = indexes.find(settings, environment={})
    assert found.environment()["UV_FIND_LINKS"] == f"file://{tmp_path}/a%2C%20b"


def test_pip_trusts_an_index_without_tls_as_uv_does() -> None:
    found = exported(find(index_default="http://pypi.corp:8080/simple"))
    assert found["PIP_TRUSTED_HOST"] == "pypi.corp:8080"


@pytest.mark.parametrize(
    ("environment", "options", "message"),
    [
        ({}, {"index_offline": "true"}, "--index-offline: needs a folder with packages: set "),
        ({}, {"index_find_links": "nowhere"}, "--index-find-links: no such folder: nowhere"),
        ({}, {"index_find_links": "docs"}, "--index-find-links: docs has no package (a .whl or "),
        ({}, {"index_find_links": "a,b"}, "--index-find-links: expected at most one folder, got a"),
        (
            {},
            {"index_find_links": "docs", "index_offline": "true", "index_default": CORP},
            "--index-offline: excludes --index-default, which needs a network",
        ),
        (
            {"UV_INDEX_URL": "https://token-4711@h/simple/"},
            {},
            "UV_INDEX_URL: https://h/simple/: names a user and no password: name both",
        ),
        ({"NETRC": "/none"}, {"index_default": CORP}, "NETRC: no such file: /none"),
        (
            {"UV_INDEX_CORP_PASSWORD": "x1"},
            {"index_extra": f"corp={CORP}"},
            "UV_INDEX_CORP_PASSWORD is set, and UV_INDEX_CORP_USERNAME is not: set both",
        ),
        (
            {"UV_INDEX_CORP_USERNAME": "me"},
            {"index_extra": f"corp={CORP}"},
            "--index-extra: no password of me for https://pypi.corp.example/simple/: set "
            "UV_INDEX_CORP_PASSWORD, or add it to .netrc, or set index.keyring",
        ),
    ],
)
def test_a_mistake_is_one_line(
    environment: dict[str, str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        find(environment, **options)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("password", ['"quoted', "x y", "a\\b", "pass\u00e9"])
def test_a_password_that_a_netrc_file_cannot_hold_is_an_error(password: str) -> None:
    found = find({**LOGIN, "UV_INDEX_CORP_PASSWORD": password}, index_extra=f"corp={CORP}")
    with pytest.raises(UsageError, match=r"^--index-extra: the password for https://pypi\.") as e:
        found.netrc()
    assert password not in str(e.value).partition("which")[0]


def test_two_credentials_for_a_host_are_an_error() -> None:
    login = {**LOGIN, "UV_INDEX_B_USERNAME": "you", "UV_INDEX_B_PASSWORD": "pw2"}
    found = find(login, index_extra=f"corp={CORP},b=https://pypi.corp.example/b/")
    with pytest.raises(UsageError, match=r"have different credentials, and uv and pip know one"):
        found.netrc()


def test_options_of_uv() -> None:
    assert indexes.options(loading.load({"uv-no-binary": "lxml,numpy"})) == (
        *("--no-binary", "lxml", "--no-binary", "numpy"),
    )


def test_the_repr_of_a_source_has_no_password() -> None:
    assert "4711" not in repr(find(LOGIN, index_extra=f"corp={CORP}"))


def test_uv_here_trusts_the_ca_bundle_and_a_step_has_it_as_a_secret(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    with pytest.raises(UsageError, match=r"^--ca-bundle: no such file: /.*/ca\.pem$"):
        find(ca_bundle=str(bundle))
    bundle.touch()
    found = find(ca_bundle=str(bundle))
    assert found.environment()["SSL_CERT_FILE"] == str(bundle)
    assert found.step_variables() == ""
