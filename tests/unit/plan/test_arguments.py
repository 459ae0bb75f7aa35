"""Build arguments never hold a secret."""

from __future__ import annotations

import pytest

from build_tasks.config import loading
from build_tasks.errors import UsageError
from build_tasks.model.labels import Revision
from build_tasks.plan import arguments


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "DB_PASSWORD", "apikey", "AWS_SECRET_ACCESS"])
def test_argument_with_a_secret_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"build argument {name}: .*: holds a secret"):
        arguments.refuse_secrets(((name, "x"),))


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
