"""Build arguments never hold a secret."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from build_tasks.config import loading
from build_tasks.errors import UsageError
from build_tasks.model.aliases import Pairs
from build_tasks.model.labels import Revision
from build_tasks.model.matrix import ImageKind
from build_tasks.plan import arguments
from build_tasks.plan.airflow_source import Installation


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "DB_PASSWORD", "apikey", "AWS_SECRET_ACCESS"])
def test_argument_with_a_secret_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"build argument {name}: holds a secret"):
        arguments.refuse_secrets(((name, "x"),))


def test_an_empty_value_is_no_secret() -> None:
    arguments.refuse_secrets((("GITHUB_TOKEN", ""),))


def test_argument_with_a_secret_value_is_refused_without_showing_it() -> None:
    token = f"ghp_{'a' * 36}"
    with pytest.raises(UsageError, match="build argument BUILD_ID: ") as caught:
        arguments.refuse_secrets((("BUILD_ID", token),))
    assert token not in str(caught.value)


def test_what_uv_installs_is_an_argument() -> None:
    given = {"uv-no-binary": "lxml,numpy", "uv-prerelease": "allow"}
    table = dict(arguments.arguments("3.11", loading.load(given), None, Revision("abc")))
    assert table["AIRFLOW_UV_OPTIONS"] == "--no-binary lxml --no-binary numpy"
    assert table["AIRFLOW_UV_PRERELEASE"] == "allow"
    table = dict(arguments.arguments("3.11", loading.load(), None, Revision("abc")))
    assert "AIRFLOW_UV_OPTIONS" not in table


def test_a_release_with_mounted_sources_has_an_argument_of_its_own() -> None:
    def table(sources: str) -> dict[str, str]:
        settings = loading.load({"sources": sources})
        return dict(arguments.arguments("3.11", settings, None, Revision("abc")))

    assert table("mount")["AIRFLOW_SOURCES"] == "mount"
    assert "AIRFLOW_SOURCES" not in table("copy")


def test_the_user_and_the_folders_of_prod_are_arguments(tmp_path: Path) -> None:
    given = {"prod-uid": "1001", "prod-home": "/srv/airflow", "prod-user-home": "/srv/home"}
    installation = Installation("release", "3.3.2", tmp_path)
    table = dict(arguments.arguments("3.11", loading.load(given), installation, Revision("abc")))
    assert table["AIRFLOW_UID"] == "1001"
    assert table["AIRFLOW_HOME"] == "/srv/airflow"
    assert table["AIRFLOW_USER_HOME_DIR"] == "/srv/home"
    table = dict(arguments.arguments("3.11", loading.load(given), None, Revision("abc")))
    assert "AIRFLOW_UID" not in table


def own(tmp_path: Path, given: str, kind: ImageKind = ImageKind.CI) -> Pairs:
    """Return the arguments of an image of a project with Dockerfiles of its own."""
    (tmp_path / "Dockerfile").write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nARG ONLY_PROD\n")
    (tmp_path / "Dockerfile.ci").write_text(
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nARG AIRFLOW_EXTRAS\nARG TARGETARCH\nARG FLAVOR=plain\n"
    )
    (tmp_path / "images.toml").write_text(given)
    settings = loading.load(environment={}, file=tmp_path / "images.toml")
    installation = Installation("release", "3.3.2", tmp_path) if kind is ImageKind.PROD else None
    pairs = arguments.arguments("3.11", settings, installation, Revision("abc", "", "7"))
    return pairs[[name for name, _ in pairs].index("COMMIT_SHA") + 1 :]


def test_an_argument_of_ones_own_goes_to_the_image_that_declares_it(tmp_path: Path) -> None:
    given = '[build]\narguments = { FLAVOR = "", ONLY_PROD = "a=b" }'
    assert own(tmp_path, given) == (("FLAVOR", ""),)
    assert own(tmp_path, given, ImageKind.PROD) == (("ONLY_PROD", "a=b"),)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("FLAVOUR", "FLAVOUR: no Dockerfile declares it: did you mean FLAVOR?"),
        ("X", "X: no Dockerfile declares it: declare it with ARG X"),
        ("AIRFLOW_EXTRAS", "AIRFLOW_EXTRAS: it is set from other settings"),
        ("TARGETARCH", "TARGETARCH: it is set from other settings"),
        ("HTTP_PROXY", "HTTP_PROXY: it is set from other settings"),
        ("BASE_IMAGE", "BASE_IMAGE: it is set from other settings"),
    ],
)
def test_an_argument_that_is_not_the_users_to_set_is_refused(
    tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        own(tmp_path, f'[build]\narguments = {{ {name} = "1" }}')
    assert str(caught.value) == f"images.toml: build.arguments: {message}"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("NB_USR", "NB_USR: no Dockerfile declares it: did you mean NB_USER?"),
        ("COMMIT_SHA", "COMMIT_SHA: it is set from other settings"),
    ],
)
def test_arguments_of_a_dockerfile_without_airflow_are_checked(
    tmp_path: Path, given: str, message: str
) -> None:
    (tmp_path / "Other").write_text("FROM a\nARG NB_USER\nARG COMMIT_SHA\n")
    table = '[ci]\ndockerfile = "Other"\n[build]\narguments = { %s = "x" }\n'
    settings = []
    for name in ("NB_USER", given):
        (tmp_path / "images.toml").write_text(table % name)
        settings.append(loading.load(environment={}, file=tmp_path / "images.toml"))
    revision = Revision("abc")
    pairs = arguments.of_other("3.11", settings[0], ImageKind.CI, revision)
    assert dict(pairs)["NB_USER"] == "x"
    with pytest.raises(UsageError, match=message):
        arguments.of_other("3.11", settings[1], ImageKind.CI, revision)


def test_proxies_are_arguments_that_buildkit_knows(tmp_path: Path) -> None:
    (tmp_path / "images.toml").write_text(
        'http-proxy = "http://p:1"\nhttps-proxy = "http://p:2"\nno-proxy = ["a", ".b"]\n'
    )
    settings = loading.load(environment={}, file=tmp_path / "images.toml")
    pairs = dict(arguments.arguments("3.11", settings, None, Revision("", "", "")))
    proxies = {"HTTP_PROXY": "http://p:1", "HTTPS_PROXY": "http://p:2", "NO_PROXY": "a,.b"}
    assert proxies.items() <= pairs.items()


def test_packages_are_words_for_xargs(tmp_path: Path) -> None:
    (tmp_path / "my 3.11.txt").touch()
    (tmp_path / "packages.txt").write_text("jq # for JSON\n\nvim tree\n")
    (tmp_path / "images.toml").write_text(
        """\
[dependencies]
python = [
    "pandas>=2,<3",
    "-r my {python}.txt",
    "x; python_version < '3.9'",
    "y @ https://h/y.whl ; python_version < '3.9' and sys_platform == 'linux'",
]
apt-dev = ["gcc", "-r packages.txt"]
apt-runtime = ["-r packages.txt"]
[prod]
profile = "slim"
[ci]
extras = []
test-packages = ["pytest>=8", "mock; python_version < '3.9'"]
"""
    )
    settings = loading.load(environment={}, file=tmp_path / "images.toml")
    table = dict(arguments.arguments("3.11", settings, None, Revision("abc")))
    assert shlex.split(table["ADDITIONAL_PYTHON_DEPS"]) == [
        *("pandas<3,>=2", "-r", "my 3.11.txt", "x; python_version < '3.9'"),
        'y @ https://h/y.whl ; python_version < "3.9" and sys_platform == "linux"',
    ]
    assert table["ADDITIONAL_PYTHON_DEPS"].startswith("pandas<3,>=2 -r 'my 3.11.txt' ")
    assert shlex.split(table["AIRFLOW_TEST_DEPS"])[1:] == ["mock; python_version < '3.9'"]
    assert table["ADDITIONAL_DEV_APT_DEPS"] == "gcc jq vim tree"
    installation = Installation("release", "3.3.2", tmp_path)
    table = dict(arguments.arguments("3.11", settings, installation, Revision("abc")))
    assert table["ADDITIONAL_RUNTIME_APT_DEPS"] == "jq vim tree"
