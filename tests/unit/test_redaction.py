from __future__ import annotations

import pytest

from build_tasks.redaction import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("RUN echo password=hunter2 A=b", "RUN echo password=*** A=b"),
        ("MY_TOKEN=abc GITHUB_TOKEN='a b'", "MY_TOKEN=*** GITHUB_TOKEN=***"),
        ("https://user:pw@example.org/x", "https://user:***@example.org/x"),
        ("git+https://ghp_123@example.org/x", "git+https://***@example.org/x"),
        ("curl --password hunter2 --user me", "curl --password *** --user me"),
        ("curl --api-key=k1 x", "curl --api-key=*** x"),
        ('{"client_secret": "abc", "id": 1}', '{"client_secret": ***, "id": 1}'),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("password: hunter2", "password: ***"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "RUN --mount=type=secret,id=ca-bundle,required=false pip install tokenizers==1.0",
        "RUN curl --password $PASSWORD TOKEN=${TOKEN}",
        "the password is wrong",
        "Collecting secretstorage==3.3.3",
        "mailto: someone@example.org",
        "FROM localhost:5000/a/b@sha256:0123",
    ],
)
def test_what_is_none_stays(text: str) -> None:
    assert redact(text) == text
