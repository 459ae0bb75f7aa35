"""Where settings come from, and mistakes in them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from build_tasks.config import loading
from build_tasks.config.project import SHIPPED as ROOT
from build_tasks.config.settings import FIELDS
from build_tasks.errors import UsageError
from build_tasks.model.cache import CacheMode
from build_tasks.model.matrix import Platform
from build_tasks.text import redaction
from build_tasks.text.redaction.known import KnownValues


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "images.toml"
    path.touch()
    return path


def test_an_empty_file_leaves_the_defaults(file: Path) -> None:
    loaded = loading.load(environment={}, file=file)
    assert loaded.repository == "apache/airflow"
    assert set(loaded.origins.values()) == {"default"}


def test_options_beat_the_environment_which_beats_the_file(file: Path) -> None:
    file.write_text('branch = "file"\nrepository = "file"\nregistry = "file"\n')
    loaded = loading.load(
        {"branch": "option"},
        environment={"AIRFLOW_IMAGES_BRANCH": "env", "AIRFLOW_IMAGES_REPOSITORY": "env"},
        file=file,
    )
    assert (loaded.branch, loaded.repository, loaded.registry) == ("option", "env", "file")
    assert [loaded.origins[key] for key in ("branch", "repository", "registry", "engine")] == [
        "--branch",
        "AIRFLOW_IMAGES_REPOSITORY",
        "images.toml: registry",
        "default",
    ]


def test_the_projects_own_file_is_right() -> None:
    loaded = loading.load(environment={})
    assert loaded.pythons == ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
    assert [loaded.airflow_for(python) for python in ("3.9", "3.10", "3.14")] == [
        "3.0.6",
        "3.3.2",
        "3.3.2",
    ]


def test_lists_may_come_from_the_environment(file: Path) -> None:
    loaded = loading.load(
        environment={
            "AIRFLOW_IMAGES_PLATFORM": "amd64, linux/arm64",
            "AIRFLOW_IMAGES_AIRFLOW_VERSIONS": "3.9=3.0.6,3.10=3.1.8",
            "AIRFLOW_IMAGES_DEPENDENCIES_PYTHON": "pandas>=2,<3, boto3[crt,s3]",
            "AIRFLOW_IMAGES_CACHE_MODE": "local",
        },
        file=file,
    )
    assert loaded.platforms == (Platform.AMD64, Platform.ARM64)
    assert dict(loaded.airflow_versions) == {"3.9": "3.0.6", "3.10": "3.1.8"}
    assert loaded.dependencies_python == ("pandas<3,>=2", "boto3[crt,s3]")
    assert loaded.cache_mode is CacheMode.LOCAL


def test_requirements_beside_the_file_are_the_default(file: Path) -> None:
    (file.parent / "requirements.txt").touch()
    loaded = loading.load(environment={}, file=file)
    assert loaded.dependencies_python == ("-r requirements.txt",)
    assert loaded.origins["dependencies.python"] == "requirements.txt"
    (file.parent / "Dockerfile").write_text("FROM x\nCOPY requirements.txt /\n")
    assert loading.load(environment={}, file=file).dependencies_python == ()
    (file.parent / "Dockerfile").write_text("FROM x\nARG ADDITIONAL_PYTHON_DEPS\n")
    assert loading.load(environment={}, file=file).dependencies_python == ("-r requirements.txt",)
    file.write_text("[dependencies]\npython = []\n")
    assert loading.load(environment={}, file=file).dependencies_python == ()
    given = {"dependencies-python": "--requirement=a b.txt,-cc.txt,pandas"}
    loaded = loading.load(given, environment={}, file=file)
    assert loaded.dependencies_python == ("-r a b.txt", "-c c.txt", "pandas")
    place = "--dependencies-python: expected a requirement like pytest, or `-r FILE`, got 'a.txt'"
    with pytest.raises(UsageError, match=re.escape(place)):
        loading.load({"dependencies-python": "a.txt"}, environment={}, file=file)
    place = (
        "--dependencies-apt-dev: expected the name of a Debian package, or `-r FILE`, got 'a.txt'"
    )
    with pytest.raises(UsageError, match=re.escape(place)):
        loading.load({"dependencies-apt-dev": "a.txt"}, environment={}, file=file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "colour = 1",
            "images.toml: unknown key 'colour': `airflow-images settings` lists the valid ones",
        ),
        (
            "[base]\nlocked = true",
            "images.toml: [base]: unknown key 'locked': did you mean locked, before the first ",
        ),
        ("[cache]\nmod = 1", "images.toml: [cache]: unknown key 'mod': did you mean mode?"),
        (
            "mode = 1",
            "images.toml: unknown key 'mode': did you mean cache.mode or constraints.mode?",
        ),
        (
            "[prod]\nextras = []",
            "images.toml: [prod]: unknown key 'extras': did you mean airflow.ex",
        ),
        (
            "[airflow]\nextra = []",
            "images.toml: [airflow]: unknown key 'extra': did you mean extras?",
        ),
        ("cache-mode = 1", "images.toml: unknown key 'cache-mode': did you mean cache.mode?"),
        ("[cach]\nmode = 1", "images.toml: unknown table 'cach': did you mean cache?"),
        (
            "[colour]\nred = 1",
            "images.toml: unknown table 'colour': choose airflow, apt, base, build, ",
        ),
        ("cache = 1", "images.toml: cache: expected a table [cache], got 1"),
        ('[cache]\nmode = "s3"', "images.toml: cache.mode: unknown cache mode 's3': choose "),
        ("[cache]\nmode = 3", "images.toml: cache.mode: expected a string, got 3"),
        ("branch = 1", "images.toml: branch: expected a string, got 1"),
        (
            "pythons = []",
            "images.toml: pythons: expected at least one Python version, like 3.11, got []",
        ),
        ('pythons = ["3.11", "3.11"]', "images.toml: pythons: 3.11 occurs twice"),
        (
            "pythons = [3.11]",
            'images.toml: pythons: expected a list of strings like ["a", "b"], got [3.11]',
        ),
        ('pythons = ["2.7"]', "images.toml: pythons: expected a Python version like 3.11, got"),
        (
            'platform = ["vax"]',
            "images.toml: platform: unknown platform 'vax': choose linux/amd64, linux/arm64",
        ),
        (
            'registry = "http://x"',
            "images.toml: registry: expected a host with an optional port, like ghcr.io, got ",
        ),
        (
            'repository = "Apache"',
            "images.toml: repository: expected a lower-case path like apache/airflow, got 'Apache'",
        ),
        ('engine = "podman"', "images.toml: engine: unknown engine 'podman': choose auto, "),
        (
            'builder = "a b"',
            "images.toml: builder: expected a name of letters, digits, '_', '.' and '-', got 'a b'",
        ),
        (
            '[base]\nimage = "x:{py}"',
            "images.toml: base.image: expected an image like python:{python}-slim-bookworm, g",
        ),
        (
            '[airflow]\nversion = "new"',
            "images.toml: airflow.version: expected a version like 3.3.2, got 'new'",
        ),
        (
            "[airflow]\nversions = 3",
            'images.toml: airflow.versions: expected a table like { "3.9" = "3.0.6" }, got 3',
        ),
        (
            '[airflow]\nextras = ["a b"]',
            "images.toml: airflow.extras: expected the name of an extra, got 'a b'",
        ),
        (
            '[dependencies]\npython = ["a b"]',
            "images.toml: dependencies.python: expected a requirement like pytest or pytest>=",
        ),
        (
            '[dependencies]\napt-dev = ["G++"]',
            "images.toml: dependencies.apt-dev: expected the name of a Debian package, or "
            "`-r FILE`, got 'G++'",
        ),
        ("branch = ", "images.toml: Invalid value"),
        ("[prod]\nslim = 1", "images.toml: prod.slim: expected true or false, got 1"),
        ('[prod]\nclients = ["db2"]', "images.toml: prod.clients: unknown database client 'db2'"),
        (
            '[prod]\nbudget = "x"',
            "images.toml: prod.budget: expected a number of megabytes like 900, got 'x'",
        ),
        (
            "[prod]\nsize = 1",
            "images.toml: [prod]: unknown key 'size': choose ",
        ),
        ("[airflow]\nfrom = 1", "images.toml: airflow.from: expected a string, got 1"),
        ('[constraints]\nmode = "x"', "images.toml: constraints.mode: unknown constraints mode "),
        (
            "[constraints]\nlocation = 1",
            "images.toml: constraints.location: expected a string, got 1",
        ),
        (
            '[dependencies]\napt-runtime = "a b"',
            "images.toml: dependencies.apt-runtime: expected the name of a Debian package, ",
        ),
        (
            '[sbom]\nscanner = ""',
            "images.toml: sbom.scanner: expected an image like python:{python}-slim-bookworm, ",
        ),
    ],
)
def test_a_mistake_in_the_file_is_one_line_with_its_place(
    file: Path, text: str, message: str
) -> None:
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        loading.load(environment={}, file=file)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_mistake_in_the_environment_names_the_variable(file: Path) -> None:
    with pytest.raises(UsageError, match=r"^AIRFLOW_IMAGES_ENGINE: unknown engine 'x'"):
        loading.load(environment={"AIRFLOW_IMAGES_ENGINE": "x"}, file=file)


def test_a_mistake_in_an_option_names_the_option(file: Path) -> None:
    with pytest.raises(UsageError, match=r"^--cache-mode: unknown cache mode 'x'"):
        loading.load({"cache-mode": "x"}, environment={}, file=file)


def test_a_file_that_cannot_be_read_is_one_line(file: Path) -> None:
    missing = file.with_name("missing.toml")
    with pytest.raises(UsageError, match=r"missing.toml: cannot be read: No such file"):
        loading.load(environment={"AIRFLOW_IMAGES_FILE": str(missing)})


def test_a_former_key_and_its_variable_work_with_a_note(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text('platforms = ["amd64"]')
    loading.renamed.cache_clear()
    loaded = loading.load(environment={}, file=file)
    assert loaded.platforms == (Platform.AMD64,)
    loaded = loading.load(environment={"AIRFLOW_IMAGES_PLATFORMS": "arm64"}, file=file)
    assert loaded.platforms == (Platform.ARM64,)
    assert capsys.readouterr().err.splitlines() == [
        "images.toml: platforms is now called platform",
        "AIRFLOW_IMAGES_PLATFORMS is now called AIRFLOW_IMAGES_PLATFORM",
    ]


def test_a_flag_that_was_not_given_says_nothing(file: Path) -> None:
    file.write_text("[index]\noffline = true\n")
    key, flag = "index.offline", {"index-offline": False}
    loaded = loading.load(flag, environment={}, file=file)
    assert (loaded.index_offline, loaded.origins[key]) == (True, "images.toml: index.offline")
    loaded = loading.load(flag, environment={"AIRFLOW_IMAGES_INDEX_OFFLINE": "no"}, file=file)
    assert (loaded.index_offline, loaded.origins[key]) == (False, "AIRFLOW_IMAGES_INDEX_OFFLINE")
    loaded = loading.load({"index-offline": True}, environment={}, file=file)
    assert loaded.origins[key] == "--index-offline"


@pytest.mark.parametrize(("switch", "profile"), [("true", "slim"), ("false", "official")])
def test_a_former_switch_sets_the_key_in_its_place(
    file: Path, capsys: pytest.CaptureFixture[str], switch: str, profile: str
) -> None:
    loading.renamed.cache_clear()
    file.write_text(f"[prod]\nslim = {switch}\n")
    loaded = loading.load(environment={}, file=file)
    assert (loaded.prod_profile, loaded.origins["prod.profile"]) == (
        profile,
        "images.toml: prod.profile",
    )
    file.write_text("")
    loaded = loading.load(environment={"AIRFLOW_IMAGES_PROD_SLIM": switch}, file=file)
    assert (loaded.prod_profile, loaded.origins["prod.profile"]) == (
        profile,
        "AIRFLOW_IMAGES_PROD_SLIM",
    )
    assert capsys.readouterr().err.splitlines() == [
        f'images.toml: prod.slim is now called prod.profile = "{profile}"',
        f'AIRFLOW_IMAGES_PROD_SLIM is now called prod.profile = "{profile}"',
    ]


def test_rows_say_key_value_and_origin_of_everything(file: Path) -> None:
    rows = loading.rows(loading.load({"branch": "x"}, environment={}, file=file))
    assert ("branch", "x", "--branch") in rows
    assert len(rows) == len(FIELDS) + 2


def test_rows_name_the_file_and_what_the_project_has_of_its_own(file: Path) -> None:
    (file.parent / "Dockerfile").touch()
    (file.parent / "constraints").mkdir()
    rows = loading.rows(loading.load(environment={}, file=file))
    assert rows[:2] == [
        ("file", str(file), "--file"),
        ("files", ("Dockerfile", "constraints"), "beside the file"),
    ]


def test_a_path_in_the_file_starts_at_its_folder_and_any_other_at_the_current_one(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    file.write_text('ca-bundle = "certs/ca.pem"')
    loaded = loading.load(environment={}, file=file)
    assert loaded.path("ca-bundle", loaded.ca_bundle) == file.parent / "certs/ca.pem"
    assert loaded.path("ca-bundle", "/ca.pem") == Path("/ca.pem")
    assert loaded.path("ca-bundle", "~/ca.pem") == Path("/home/me/ca.pem")
    loaded = loading.load({"ca-bundle": "ca.pem"}, environment={}, file=file)
    assert loaded.path("ca-bundle", loaded.ca_bundle) == Path("ca.pem").absolute()


def test_a_misspelt_variable_is_refused_with_what_is_near() -> None:
    with pytest.raises(
        UsageError,
        match=r"^unknown variable 'AIRFLOW_IMAGES_TRUSTD': did you mean AIRFLOW_IMAGES_TRUSTED",
    ):
        loading.load(environment={"AIRFLOW_IMAGES_TRUSTD": "0"})
    with pytest.raises(
        UsageError, match=r"unknown variable 'AIRFLOW_IMAGES_ZZZ': `airflow-images settings` lists"
    ):
        loading.load(environment={"AIRFLOW_IMAGES_ZZZ": ""})
    known = ("CACHE", "FILE", "ENGINE_RELEASE", "TESTS_ROUNDS")
    loading.read_environment({f"AIRFLOW_IMAGES_{name}": "" for name in known})


def test_every_variable_that_the_code_names_is_known() -> None:
    package = ROOT / "build_tasks"
    texts = [path.read_text(encoding="utf-8") for path in package.rglob("*.py")]
    named = {name for text in texts for name in re.findall(r"AIRFLOW_IMAGES_[A-Z_]*[A-Z]", text)}
    assert len(named) > 3
    loading.read_environment(dict.fromkeys(named, ""))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[dependencies]\npython = ["x @ https://me:hunter2@h/x.whl"]', "dependencies.python"),
        ('[dependencies]\npython = ["x @ https://h/x.whl?token=hunter2"]', "dependencies.python"),
        ('[ci]\ntest-packages = ["x @ git+https://hunter2@h/x"]', "ci.test-packages"),
        ('[base]\nimage = "https://me:hunter2@h/python:{python}"', "base.image"),
        ('[base]\nimage = "me:hunter2@h/python:{python}"', "base.image"),
        ('registry = "me:hunter2@ghcr.io"', "registry"),
        ('[airflow]\nfrom = "git+https://hunter2@h/airflow@main"', "airflow.from"),
        ('[constraints]\nlocation = "https://h/c?sig=hunter2"', "constraints.location"),
        ('[cache]\nfrom = ["me:hunter2@h/c:t"]', "cache.from"),
        ('[cache]\nto = "type=s3,bucket=b,endpoint_url=https://me:hunter2@h"', "cache.to"),
        ('[cache]\nto = "type=azblob,account_url=https://h/?sv=1&sig=hunter2"', "cache.to"),
        ('[cache]\nto = "type=s3,bucket=b,secret_access_key=hunter2"', "cache.to"),
        ('[images.own]\nenvironment = { DB_PASSWORD = "hunter2" }', "images.own.environment: "),
        (
            '[images.own]\nenvironment = { DB = "postgres://u:hunter2@h/d" }',
            "images.own.environment: ",
        ),
        (
            '[images.own]\ndockerfile = "D"\narguments = { TOKEN = "hunter2" }',
            "images.own.arguments: ",
        ),
        ('[images.own]\npython = ["x @ https://me:hunter2@h/x.whl"]', "images.own: 'python="),
        ('[cache]\nto = "type=s3,bucket=b,unknown=1,password=hunter2"', "cache.to"),
        ('[builders.a.options]\n"env.HTTP_PROXY" = "http://me:hunter2@h"', "builders"),
        ('[builders.a.options]\n"env.API_KEY" = "hunter2"', "builders"),
        ('[builders.a.options]\nenv.MY_PAT = "hunter2"', "builders"),
        (
            '[builders.a]\ndriver = "remote"\nnodes = [{endpoint = "tcp://a:hunter2@h:1"}]',
            "builders",
        ),
        ('[sbom]\nscanner = "me:hunter2@h/x"', "sbom.scanner"),
        ('[index]\ndefault = "https://me:a/hunter2@h/simple"', "index.default"),
        ('[index]\ndefault = "//me:hunter2@h/simple"', "index.default"),
        ('[index]\nextra = ["a=https:/me:hunter2@h/simple"]', "index.extra"),
        ('[apt]\nmirror = "https://me:a/hunter2@h/debian"', "apt.mirror"),
        ('https-proxy = "http:/me:hunter2@h:3128"', "https-proxy"),
        ('branch = {password = "hunter2"}', "branch"),
    ],
)
def test_a_secret_in_a_setting_is_refused_and_not_shown(file: Path, text: str, place: str) -> None:
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        loading.load(environment={}, file=file)
    message = str(caught.value)
    assert message.startswith(f"images.toml: {place}")
    assert "hunter2" not in message
    assert "\n" not in message


def test_a_value_that_is_a_secret_elsewhere_is_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redaction, "_known_values", lambda: KnownValues(["from-environment-1"]))
    with pytest.raises(UsageError, match=r"^--branch: '\*\*\*' contains a secret"):
        loading.load({"branch": "from-environment-1"}, environment={}, file=file)


@pytest.mark.parametrize(
    "text",
    [
        '[base]\nimage = "h:5000/python:{python}@sha256:0123"',
        '[builders.a]\nnodes = [{endpoint = "ssh://me@h"}]',
        '[airflow]\nfrom = "git+ssh://git@github.com/apache/airflow@main"',
        '[dependencies]\npython = ["secretstorage==3.3.3", "keyring[x]>=2", "token-bucket"]',
        '[context]\nuntracked = ["secrets/**"]',
    ],
)
def test_what_is_no_secret_is_not_refused(file: Path, text: str) -> None:
    file.write_text(text)
    loading.load(environment={}, file=file)


@pytest.mark.parametrize(
    ("environment", "default", "extra"),
    [
        ({"UV_INDEX_URL": "https://me:pw@h/a"}, ("https://h/a", "UV_INDEX_URL"), ((), "default")),
        (
            {"UV_DEFAULT_INDEX": "https://h/b", "UV_INDEX_URL": "https://h/a"},
            ("https://h/b", "UV_DEFAULT_INDEX"),
            ((), "default"),
        ),
        (
            {"UV_INDEX": "x=https://me:p@w@h/a https://t@h/b"},
            ("", "default"),
            (("x=https://h/a", "https://h/b"), "UV_INDEX"),
        ),
        (
            {"UV_INDEX_URL": "https://h/a", "AIRFLOW_IMAGES_INDEX_OFFLINE": "1"},
            ("", "default"),
            ((), "default"),
        ),
    ],
)
def test_variables_of_uv_count_where_no_index_is_set(
    file: Path, environment: dict[str, str], default: object, extra: object
) -> None:
    loaded = loading.load(environment=environment, file=file)
    assert (loaded.index_default, loaded.origins["index.default"]) == default
    assert (loaded.index_extra, loaded.origins["index.extra"]) == extra


@pytest.mark.parametrize("key", ["default", "extra", "find-links"])
def test_credentials_of_an_index_do_not_belong_in_the_file(file: Path, key: str) -> None:
    url = "https://me:canary4711@h/simple/"
    value = json.dumps(url if key == "default" else [url])
    file.write_text(f"[index]\n{key} = {value}\n")
    with pytest.raises(UsageError) as caught:
        loading.load(environment={}, file=file)
    assert str(caught.value).startswith(f"images.toml: index.{key}: ")
    assert str(caught.value).endswith(
        "set UV_INDEX_<NAME>_USERNAME and UV_INDEX_<NAME>_PASSWORD, or use .netrc"
    )
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'default = "pypi.example.com"',
            "expected an address like https://pypi.example.com/simple",
        ),
        (
            'default = "x=https://h/"',
            "expected an address like https://pypi.example.com/simple/, g",
        ),
        (
            'extra = ["a b=https://h/"]',
            "expected an address like https://pypi.example.com/simple/, w",
        ),
        ('find-links = ["ftp://h/"]', "expected a folder, or an address like https://pypi.example"),
        ('keyring = "yes"', "unknown keyring provider 'yes': choose disabled, subprocess"),
        ('strategy = "first"', "unknown index strategy 'first': choose first-index, unsafe-first-"),
        ('defualt = "https://h/"', "unknown key 'defualt': did you mean default?"),
    ],
)
def test_a_mistake_about_indexes_is_one_line(file: Path, text: str, message: str) -> None:
    file.write_text(f"[index]\n{text}\n")
    with pytest.raises(UsageError) as caught:
        loading.load(environment={}, file=file)
    assert message in str(caught.value)
