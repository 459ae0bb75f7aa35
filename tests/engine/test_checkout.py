"""A CI image of a checkout of Airflow: its tests run, and an edit moves what it changed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import checkout_project
import pytest
from airflow_tree import AIRFLOW_2, TESTED
from checkout_commits import COMMITS
from checkout_project import EDIT, FILES, INSTALL, PYTHON, Project, packages
from registry_proxy import Proxy, proxied
from suite import ROOT, Suite

from build_tasks.engine.state import EmbeddedEngine

PINS = ROOT / "tests/data/checkout/constraints-source-providers-3.11.txt"
LIGHT = """\
distributions = [
    "apache-airflow-core",
    "apache-airflow-task-sdk",
    "apache-airflow-devel-common",
    "apache-airflow-providers-common-compat",
    "apache-airflow-providers-common-sql",
    "apache-airflow-providers-sqlite",
    "apache-airflow-providers-standard",
]
groups = ["apache-airflow-task-sdk:dev"]
test-packages = []
"""
#: The distributions and groups whose tests there are, with what no group of theirs names.
WHOLE = f"""\
groups = [
    "apache-airflow-devel-common:dev",
    "apache-airflow-providers-common-compat:dev",
    "apache-airflow-providers-sqlite:dev",
    "apache-airflow-task-sdk:dev",
]
test-packages = {json.dumps(TESTED.needs)}
[constraints]
limits = ["universal-pathlib<0.3", "pyarrow<21", "time-machine<2.17"]
[dependencies]
apt-dev = ["postgresql"]
"""
MACROS = "task-sdk/src/airflow/sdk/definitions/macros.py"
#: The function that an edit changes, and its tests.
FUNCTION = "def ds_add(ds: str, days: int) -> str:\n"
ITS_TESTS = "pytest -q task-sdk/tests/task_sdk/definitions/test_macros.py -k ds_add"
COMMON = "devel-common/pyproject.toml"
WHERE = """
from tests_common import pytest_plugin
from airflow import sdk, version
from airflow.providers.sqlite.hooks import sqlite
print(version.__file__, sdk.__file__, sqlite.__file__, pytest_plugin.__file__, sep="\\n")
"""


PROVIDERS = ("postgres", "sqlite", "common/sql", "common/compat")
_XCOM = "tests/task_sdk/definitions/test_xcom_arg.py"
_HOOK = "providers/postgres/tests/unit/postgres/hooks/test_postgres.py::TestPostgresHookConn"
_SQL = "providers/common/sql/tests/unit/common/sql"
_CHECK = f"{_SQL}/operators/test_sql.py::TestSQLCheckOperatorDbHook"
#: The tests that do not pass, without their parameters, and why.
FAILING = {
    f"{_XCOM}::test_xcom_convert_to_kwargs_fails_task": "a later structlog says more",
    f"{_XCOM}::test_xcom_map_error_fails_task": "a later structlog says more",
    f"{_HOOK}::test_get_conn_rds_iam_postgres": "without the provider amazon",
    f"{_HOOK}::test_get_conn_rds_iam_redshift": "without the provider amazon",
    f"{_HOOK}::test_get_conn_rds_iam_redshift_serverless": "without the provider amazon",
    f"{_HOOK}::test_openlineage_methods_with_redshift": "without the provider amazon",
    f"{_CHECK}::test_not_allowed_conn_type": "without the provider airbyte",
    f"{_CHECK}::test_sql_operator_hook_params_biguery": "without the provider google",
    f"{_CHECK}::test_sql_operator_hook_params_snowflake": "without the provider snowflake",
    f"{_CHECK}::test_sql_operator_hook_params_templated": "without the provider snowflake",
    f"{_SQL}/operators/test_sql.py::TestSQLExecuteQueryOperator::"
    "test_sql_operator_extra_dejson_fields_to_hook_params": "without the provider google",
    f"{_SQL}/hooks/test_dbapi.py": "without pyodbc",
    f"{_SQL}/operators/test_generic_transfer.py": "without the provider mysql",
}
#: PostgreSQL does not run as root.
POSTGRES = """
set -e
[ "$(id -u)" != 0 ] ||
    exec setpriv --reuid 50000 --regid 0 --clear-groups bash -c "${SCRIPT}" "$0" "$@"
PATH=$(echo /usr/lib/postgresql/*/bin):${PATH}
initdb --pgdata /tmp/pg --username airflow --auth trust > /dev/null
pg_ctl --pgdata /tmp/pg --options "-k /tmp" --log /tmp/pg.log --wait start > /dev/null
createdb --host 127.0.0.1 --username airflow airflow
export BACKEND=postgres AIRFLOW_CONN_POSTGRES_DEFAULT=postgresql://airflow@127.0.0.1/airflow
export AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=postgresql+psycopg2://airflow@127.0.0.1/airflow
pytest --with-db-init -q -rfE --continue-on-collection-errors "$@"
"""


@pytest.fixture(scope="module")
def project(
    suite: Suite, engine: EmbeddedEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """A project with few distributions, whose image is built and pushed."""
    home = tmp_path_factory.mktemp("checkout")
    with proxied(engine.registry) as proxy:
        made = light(suite, home, proxy)
        made.build()
        made.pushed()
        yield made


def light(suite: Suite, home: Path, proxy: Proxy) -> Project:
    """Make a project with few distributions, whose constraints are those of its last change."""
    made = checkout_project.make(suite, home, LIGHT, proxy)
    pins = PINS.read_text()
    baseline = re.sub(r"(==\S+)$", r"\1  # 1", pins, flags=re.MULTILINE)
    for name, text in ((PINS.name, pins), ("baseline-ci-3.11.txt", baseline)):
        file = made.suite.root / "constraints" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return made


@pytest.fixture(autouse=True)
def as_released(project: Project) -> Iterator[None]:
    """Leave the checkout as it was."""
    yield
    project.git("checkout", "--quiet", ".")


def test_what_is_imported_and_tested_is_the_checkout(project: Project) -> None:
    assert project.sh(f"python -c '{WHERE}'").splitlines()[-4:] == [
        "/opt/airflow/airflow-core/src/airflow/version.py",
        "/opt/airflow/task-sdk/src/airflow/sdk/__init__.py",
        "/opt/airflow/providers/sqlite/src/airflow/providers/sqlite/hooks/sqlite.py",
        "/opt/airflow/devel-common/src/tests_common/pytest_plugin.py",
    ]
    assert project.sh('ls -d "${AIRFLOW_HOME}"') == "/home/airflow/airflow\n"
    kinds = project.sh("find /opt/airflow -printf '%y %m %U:%G\\n' | sort -u").splitlines()
    assert kinds == ["d 775 50000:0", "f 644 50000:0"]
    assert "6 passed" in project.sh(ITS_TESTS)


def test_an_edited_module_moves_itself_alone(project: Project) -> None:
    project.edit(MACROS, FUNCTION, f'{FUNCTION}    return "edited"\n')
    done = project.run("bash", "-c", ITS_TESTS)
    assert f"since changed: files (sources:{MACROS}): building it" in done.stderr
    assert project.ran() == EDIT
    assert done.returncode == 1
    assert "6 failed" in done.stdout
    assert 0 < project.pushed() < 100_000


def test_an_edited_dependency_installs_the_difference(project: Project) -> None:
    project.edit(COMMON, '"jmespath>=0.7.0"', '"jmespath>=0.7.0,<1.1", "toposort==1.10"')
    said = project.build()
    assert "jmespath==1.1.0 is not used: devel-common/pyproject.toml: dependencies wants" in said
    assert project.ran() == INSTALL
    ours = ("+ apache-airflow", "- apache-airflow")
    changed = [line for line in packages(said) if not line.startswith(ours)]
    assert changed[-2:] == ["+ jmespath==1.0.1", "+ toposort==1.10"]
    explained = project.suite.good("image.explain").stdout
    assert f"file metadata:checkout/{COMMON}: changed" in explained


def test_a_mounted_checkout_is_built_for_its_dependencies_alone(project: Project) -> None:
    mount = ("--sources", "mount")
    assert "6 passed" in project.sh(ITS_TESTS, *mount)
    project.edit(MACROS, FUNCTION, f'{FUNCTION}    return "edited"\n')
    edited = project.run("bash", "-c", ITS_TESTS, options=mount)
    assert edited.returncode == 1
    assert "6 failed" in edited.stdout
    assert ": is up to date: " in edited.stderr
    project.edit(COMMON, '"jmespath>=0.7.0"', '"jmespath>=0.8.0"')
    said = project.run("true", options=(*mount, "--no-build")).stderr
    assert f"since changed: files (metadata:checkout/{COMMON}): it runs" in said


@pytest.mark.nightly
def test_each_of_thirty_commits_repeats_the_expected_steps(
    suite: Suite, engine: EmbeddedEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with proxied(engine.registry) as proxy:
        project = light(suite, tmp_path / "thirty", proxy)
        project.build()
        project.pushed()
        for number, commit in enumerate(COMMITS, 1):
            commit.apply(project)
            project.build()
            assert project.ran() == commit.steps, commit.name
            moved = project.pushed()
            with capsys.disabled():
                print(f"{number} {commit.name}: {len(commit.steps)} steps, {moved:,} bytes")
            if commit.steps == EDIT:
                assert moved < 100_000, commit.name
            if number % 10 == 0:
                project.build("--cache-mode", "disabled", "--tag", "clean")
                assert project.listing() == project.listing("clean")


@pytest.mark.nightly
def test_an_empty_builder_moves_the_sources_alone(project: Project, cache: Path) -> None:
    project.suite.good("image.push", *PYTHON, "--push-cache")
    project.edit(MACROS, FUNCTION, f'{FUNCTION}    return "edited"\n')
    project.suite.good("cache.prune", "--all")
    shutil.rmtree(cache / "contexts")
    moved = project.pushed()
    assert project.ran() <= FILES
    assert moved < 10_000_000
    pulls = project.proxy.traffic().pulls
    assert sum(size for (_, kind), size in pulls.items() if kind == "blob") < 1_000_000


@pytest.mark.nightly
def test_a_git_reference_installs_the_same(project: Project) -> None:
    origin = f"git+file://{project.tree}@HEAD"
    said = project.build("--ci-from", origin)
    assert project.ran() <= FILES, said
    # The plugin of the tests needs generated files, which git ignores.
    script = "python -c 'from airflow import sdk; print(sdk.__file__)'"
    assert "/opt/airflow/task-sdk/src/" in project.sh(script, "--ci-from", origin)


@pytest.fixture(scope="module")
def whole(
    suite: Suite, engine: EmbeddedEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """A project with all distributions of the checkout, and constraints that are made from it."""
    home = tmp_path_factory.mktemp("whole")
    with proxied(engine.registry) as proxy:
        made = checkout_project.make(suite, home, WHOLE, proxy)
        made.suite.good("constraints.generate", *PYTHON, "--from-sources")
        made.build()
        yield made


def outcome(said: str) -> tuple[int, set[str]]:
    """Return how many tests passed, and which did not, without their parameters."""
    passed = re.findall(r"(\d+) passed", said)
    return int(passed[-1]), set(re.findall(r"^(?:FAILED|ERROR) ([^\s\[]+)", said, re.MULTILINE))


@pytest.mark.nightly
def test_the_tests_of_the_task_sdk_pass(whole: Project) -> None:
    done = whole.run("bash", "-c", "cd task-sdk && pytest tests -q -n 2 -rfE")
    passed, others = outcome(done.stdout)
    assert passed > 1_150
    assert others <= FAILING.keys()


@pytest.mark.nightly
def test_the_tests_of_providers_pass_with_postgresql(whole: Project) -> None:
    folders = [f"providers/{name}/tests/unit" for name in PROVIDERS]
    words = ("bash", "-c", POSTGRES, "tests", *folders)
    done = whole.run(*words, options=("--env", f"SCRIPT={POSTGRES}"))
    passed, others = outcome(done.stdout)
    assert passed > 350
    assert others <= FAILING.keys()


@pytest.mark.nightly
def test_a_checkout_of_airflow_2_is_installed_too(
    suite: Suite, engine: EmbeddedEngine, tmp_path: Path
) -> None:
    settings = 'test-packages = ["pytest"]\n'
    with proxied(engine.registry) as proxy:
        made = checkout_project.make(suite, tmp_path / "two", settings, proxy, AIRFLOW_2)
        made.suite.good("constraints.generate", *PYTHON, "--from-sources")
        made.build()
        said = made.sh("python -c 'import airflow; print(airflow.__file__, airflow.__version__)'")
    assert said == "/opt/airflow/airflow/__init__.py 2.11.0\n"
