"""Build arguments never hold a secret."""

from __future__ import annotations

import pytest

from build_tasks.errors import UsageError
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
