"""Known values: of the environment and of credentials files, in any encoding."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from build_tasks.text.redaction import known
from build_tasks.text.redaction.known import KnownValues

PEM = "-----BEGIN X-----\n{}bcdefghijklmnopqrstuvwxyz0123456789\n-----END X-----"
ENCODINGS: list[Callable[[str], str]] = [
    str,
    lambda value: quote(value, safe=""),
    quote,
    lambda value: json.dumps({"a": value}),
    shlex.quote,
    lambda value: base64.b64encode(value.encode()).decode(),
    lambda value: base64.b64encode(f"user:{value}".encode()).decode(),
    lambda value: base64.b64encode(f"me:{value}:x".encode()).decode(),
    lambda value: base64.urlsafe_b64encode(f"you:{value}".encode()).decode(),
]


@pytest.mark.parametrize("encode", ENCODINGS)
@pytest.mark.parametrize("value", ["s3cr3t-Value/with+all&'\"?", "correcthorsebatterystaple"])
def test_a_known_value_is_hidden_in_any_encoding(encode: Callable[[str], str], value: str) -> None:
    text = encode(value)
    shown = KnownValues([value]).hide(f"say {text}, and more", lambda _: "***")
    assert "***" in shown
    for at in range(len(text) - 11):
        if any(character.isalnum() for character in text[at : at + 11]):
            assert text[at : at + 12] not in shown or text[at : at + 12] in text[:6]


@pytest.mark.parametrize("first", [8, 9, 12, 16, 20])
def test_a_known_value_across_a_line_break_is_hidden(first: int) -> None:
    value = "abcdEFGH0123ijklMNOP4567"
    text = f"#7 1.234 say {value[:first]}\n#7 1.240 {value[first:]} end"
    shown = KnownValues([value]).hide(text, lambda _: "***")
    assert shown.count("***") == (2 if len(value) - first >= 8 else 1)
    assert value[:first] not in shown


def test_parts_of_words_are_unchanged() -> None:
    text = "#7 0.1 apache-airflow is installed"
    assert KnownValues(["airflow-is-my-password"]).hide(text, lambda _: "***") == text


def test_known_values_come_from_the_environment_and_credentials_files(tmp_path: Path) -> None:
    files = {
        ".docker/config.json": json.dumps(
            {"auths": {"ghcr.io": {"auth": base64.b64encode(b"me:docker-pw-1").decode()}}}
        ),
        ".netrc": "machine a login b\n  password netrc-pw-1\n",
        ".pgpass": "host:5432:db:me:pg\\:pass-1\n# short\n",
        ".aws/credentials": "[default]\naws_secret_access_key = aws-pw-1\nregion = eu\n",
        ".npmrc": "//registry.npmjs.org/:_authToken=npm-pw-1\n",
        ".git-credentials": "https://me:git%21pw-1@github.com\n",
        "token": "from-file-1\n",
        "key.json": json.dumps({"private_key": PEM.format("A")}),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    environment = {
        "GITHUB_TOKEN": "from-environment-1",
        "PIP_INDEX_URL": "https://me:index-pw-1@pypi.example.org/simple",
        "MY_TOKEN_FILE": str(tmp_path / "token"),
        "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json"),
        "DOCKER_AUTH_CONFIG": json.dumps({"auths": {"x": {"password": "auth-pw-1"}}}),
        "DOCKER_CONFIG": str(tmp_path / ".docker"),
        "SSH_PRIVATE_KEY": PEM.format("Z"),
        "POSTGRES_PASSWORD": "airflow",
        "PWD": str(tmp_path),
        "BAD_TOKEN_FILE": "/nowhere\0",
        "OTHER_SECRET": "{not json",
    }
    values = known.collect(environment, tmp_path)
    hidden = [
        *(
            "docker-pw-1",
            "netrc-pw-1",
            "pg:pass-1",
            "aws-pw-1",
            "npm-pw-1",
            "git%21pw-1",
            "git!pw-1",
        ),
        *(
            "from-file-1",
            "Abcdefghijklmnopqrstuvwxyz0123456789",
            "from-environment-1",
            "index-pw-1",
        ),
        *("auth-pw-1", "Zbcdefghijklmnopqrstuvwxyz0123456789"),
    ]
    for value in hidden:
        assert values.hide(f"say {value} x", lambda _: "***") == "say *** x", value
    plain = f"apache-airflow in {tmp_path} of eu"
    assert values.hide(plain, lambda _: "***") == plain
