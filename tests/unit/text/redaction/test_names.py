"""Names of secrets, and names that are none."""

from __future__ import annotations

import pytest

from build_tasks.text.redaction import is_secret_name
from build_tasks.text.redaction.names import words


@pytest.mark.parametrize(
    "name",
    [
        "HELLO",
        "TOKEN_FILE",
        "passwordPolicy",
        "tokenizer",
        "SECRETS__BACKENDS_ORDER",
        "KEY",
        "",
        "1",
    ],
)
def test_names_that_are_no_secrets(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["PGPASSWORD", "accessToken", "--api-key", "AWSAccessKeyId", "DB_PASS", "PASS", "TOKEN_2"],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


def test_the_words_of_a_name_have_no_number_at_their_end() -> None:
    assert words("HTTPSProxy_userPassword-02") == ("https", "proxy", "user", "password")
