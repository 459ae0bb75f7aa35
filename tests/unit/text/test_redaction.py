from __future__ import annotations

import base64
import functools
import json
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build_tasks.errors import UsageError
from build_tasks.text import redaction
from build_tasks.text.redaction import LONGEST, StreamFilter, is_secret_name, known, redact
from build_tasks.text.redaction.known import KnownValues

SECRET = "hunter2/X+y"  # noqa: S105 - of nothing
PEM = "-----BEGIN X-----\n{}bcdefghijklmnopqrstuvwxyz0123456789\n-----END X-----"
#: Lines with a secret, which stands in place of {}.
SECRETS = [
    "RUN echo password={} A=b",
    "RUN a=password={}",
    "a=1 b=2 TOKEN={}",
    "--build-arg=GH_TOKEN={}",
    "PGPASSWORD={} psql",
    "MYSQL_PWD={} mysql",
    "AWS_ACCESS_KEY_ID={}",
    "AWS_SECRET_ACCESS_KEY={}",
    "AWSAccessKeyId={}",
    "FERNET_KEY={}",
    "AIRFLOW__CORE__FERNET_KEY={}",
    "AIRFLOW__WEBSERVER__SECRET_KEY={}",
    "GH_PAT={}",
    "PASSPHRASE={}",
    "DB_PASS={}",
    "AccountName=x;AccountKey={};Suffix=y",
    "UID=sa;PWD={};",
    "npm config set //registry.npmjs.org/:_authToken={}",
    "MY_TOKEN='{}' next",
    'MY_TOKEN="{} b" next',
    "password: {}",
    "password:  {}",
    "  db_password:          {}",
    "password = {}",
    "token => {}",
    "secret := {}",
    '{{"client_secret": "{}", "id": 1}}',
    '{{"accessToken":"{}"}}',
    '{{\\"accessToken\\": \\"{}\\"}}',
    "{{'password': '{}'}}",
    '"auth": "{}aGVsbG8="',
    "authorization: {}",
    "authorization: Bearer {}",
    "Authorization: Basic {}",
    'curl -H "Authorization: token {}" https://example.org',
    "proxy-authorization: {}",
    "X-Api-Key: {}",
    "x-amz-security-token: {}",
    "Cookie: session={}; a=b",
    "GET /x?a=b&token={}&c=d",
    "https://x.blob.core.windows.net/c?sv=2022&sig={}",
    "https://x.s3.amazonaws.com/k?X-Amz-Signature={}",
    "https://example.org/?access_token={}",
    "curl --password {} --user me",
    "curl --api-key {} x",
    "curl -u me:{} https://example.org",
    "curl --user 'me:{}' https://example.org",
    "docker login -u me -p {} ghcr.io",
    "sshpass -p {} ssh host",
    "mysql -u root -p{} db",
    "machine example.org login me password {}",
    "  password {}",
    "ENV GH_TOKEN {}",
    "CREATE USER airflow WITH PASSWORD '{}'",
    "IDENTIFIED BY '{}'",
    "Password for user 'admin': {}",
    "Generated admin password: {}",
    "API key: {}",
    "export SECRET_ID={}",
    "token: {} # of the robot",
]
#: ImageIndex credentials that are known by how they look.
SHAPES = [
    "ghp_" + "a1" * 18,
    "github_pat_" + "a1" * 20,
    "glpat-" + "a1" * 10,
    "AKIA" + "ABCD" * 4,
    "xoxb-" + "12345-" * 4,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    "Bearer " + "a1.b2" * 5,
]
#: Lines without a secret.
HARMLESS = [
    "RUN --mount=type=secret,id=ca-bundle,required=false pip install tokenizers==1.0",
    "--secret id=ca-bundle,src=/etc/ssl/certs/ca-certificates.crt",
    "--secret id=npm-token,env=NPM_TOKEN",
    "RUN curl --password $PASSWORD TOKEN=${TOKEN}",
    'RUN TOKEN="$(cat /run/secrets/token)" make',
    "TOKEN=/run/secrets/token",
    "the password is wrong",
    "password required",
    "Collecting secretstorage==3.3.3",
    "token==1.0 and secrets==2",
    "mailto: someone@example.org",
    "FROM localhost:5000/a/b@sha256:0123",
    "docker-image://python:3.11@sha256:0123456789",
    "failed to fetch anonymous token: unexpected status from GET request",
    "failed to fetch oauth token: denied",
    "unexpected status from POST request to https://auth.docker.io/token: 401 Unauthorized",
    "fetching token: 401 Unauthorized",
    "server message: insufficient_scope: authorization failed",
    "failed to compute cache key: failed to calculate checksum",
    "GPG_KEY=A035C8C19219BA821ECEA86B64E628F8D684696D",
    "PWD=/opt/airflow OLDPWD=/",
    "def login(user: str, password: str, token: Optional[str] = None) -> None",
    "login(password=None, token=true)",
    "id-token: write",
    "secrets: inherit",
    "total_tokens: 512, max_tokens=100",
    "AWS_WEB_IDENTITY_TOKEN_FILE=/var/run/secrets/aws/token",
    "token_url=https://example.org/oauth",
    "passwd: password expiry information changed.",
    "cat: /etc/passwd: Permission denied",
    "docker run -u 1000:1000 --user node:node image",
    "mkdir -p login/passwords",
    "ssh://me@example.org and git+ssh://git@github.com/apache/airflow",
    "primary_key=id cache-key=abc public_key: x",
    "unknown flag: --token is not an option",
    "0 pass: 12, fail: 3",
    "Get https://example.org/?page=2&key_count=3",
    "npm:lodash@4.17.21 installed",
    "#5 [2/5] RUN echo hello",
    "credentials: /root/.aws/credentials",
    "Basic authentication is required",
    "{{ password }} and token={{ token }}",
    "Downloading keyring-25.6.0-py3-none-any.whl.metadata (20 kB)",
]


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(redaction, "_known_values", functools.cache(KnownValues))
    yield
    monkeypatch.undo()


@pytest.mark.parametrize("line", SECRETS)
def test_secrets_are_hidden_by_context(line: str) -> None:
    text = line.format(SECRET)
    shown = redact(text)
    assert SECRET not in shown
    assert "***" in shown
    before = line.format("\0").partition("\0")[0]
    assert shown.startswith(before), "what stands before it stays"
    assert redact(shown) == shown, "what is hidden is not hidden again"


@pytest.mark.parametrize("secret", SHAPES)
def test_credentials_are_hidden_by_their_prefix(secret: str) -> None:
    assert "***" in redact(f"RUN login {secret} && x")
    assert secret not in redact(f"RUN login {secret} && x")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:pw@example.org/x", "https://user:***@example.org/x"),
        ("git+https://ghp_123@example.org/x", "git+https://***@example.org/x"),
        ("redis://:pw@host:6379/0", "redis://:***@host:6379/0"),
        ("postgresql+psycopg2://airflow:air@flow@db/x", "postgresql+psycopg2://airflow:***@db/x"),
        ("MY_TOKEN=abc GITHUB_TOKEN='a b'", "MY_TOKEN=*** GITHUB_TOKEN='***'"),
        ('{"client_secret": "a\\"b", "id": 1}', '{"client_secret": "***", "id": 1}'),
        ("TOKEN='abc", "TOKEN='***"),
        ("docker login -p a=b&c host", "docker login -p *** host"),
        ("storage_key=abc token_key=abc", "storage_key=*** token_key=***"),
    ],
)
def test_the_context_of_a_secret_is_kept(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_lines_are_unchanged(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "a",
            "a=",
            "a:",
            "token=",
            'token="',
            "token='",
            'token=\\"',
            "x://",
            "x://a:",
            "eyJaaaaaaaa-",
        ),
        *(
            "cookie:",
            "authorization: ",
            "--token ",
            "-",
            "login ",
            "password '",
            "Bearer ",
            " ",
            "\\",
        ),
        *("eyJaaaaaaaa.", "api ", "secret key ", "@", "a b:", "\n password ", "?sig="),
    ],
)
def test_redaction_takes_linear_time(unit: str) -> None:
    def seconds(size: int) -> float:
        text = "token @ " + unit * (size // len(unit))
        best = 9.9
        for _ in range(3):
            began = time.thread_time()
            redaction._redacted(text, redaction._stars)
            best = min(best, time.thread_time() - began)
        return best

    small, large = seconds(8_000), seconds(64_000)
    assert large < 0.005 or large / small < 24, "eight times the text, and not 64 times the time"


def test_long_lines_are_cut_after_redaction() -> None:
    long = f"PASSWORD={SECRET} " + "x" * 3 * LONGEST
    shown = redact(f"short\n{long}\nlast")
    assert len(shown) < LONGEST + 200
    assert shown.startswith("short\nPASSWORD=*** x")
    assert shown.endswith(f"x… ({len(long) - LONGEST} more characters)\nlast")


@given(st.text(max_size=200))
def test_redaction_is_idempotent(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


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


def test_a_known_value_can_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    redaction.add_secret("a-registry-pw-1")
    assert redact("say a-registry-pw-1") == "say ***"
    monkeypatch.setattr(redaction, "_known_values", functools.cache(known.collect))
    monkeypatch.setenv("MY_TOKEN", "from-environment-2")
    assert redact("say a-registry-pw-1 from-environment-2.") == "say a-registry-pw-1 ***."


def test_errors_are_redacted() -> None:
    assert str(UsageError("--x: 'https://me:pw@host' is wrong")) == (
        "--x: 'https://me:***@host' is wrong"
    )


@pytest.mark.parametrize(
    "name", ["HELLO", "TOKEN_FILE", "passwordPolicy", "tokenizer", "KEY", "", "1"]
)
def test_names_that_are_no_secrets(name: str) -> None:
    assert not is_secret_name(name)


class TestStream:
    def test_lines_without_a_secret_pass_unchanged(self) -> None:
        data = b"\x1b[2A\x1b[0G\x1b[34m => [2/5] RUN x \xff\xfe  0.1s\x1b[0m\r\n\xc3\xa9\nend"
        filtered = StreamFilter(same_width=True)
        assert (
            b"".join(map(filtered.feed, (data[i : i + 1] for i in range(len(data)))))
            + (filtered.end())
            == data
        )

    def test_a_secret_in_two_chunks_keeps_its_width(self) -> None:
        filtered = StreamFilter(same_width=True)
        shown = filtered.feed(b"=> RUN TOKEN=ab") + filtered.feed(b"c123 && x\x1b[0m\nTOKEN=e")
        assert shown == b"=> RUN TOKEN=****** && x\x1b[0m\n".replace(b"******", b"******")
        assert filtered.end() == b"TOKEN=*"

    def test_an_incomplete_line_is_held_back_briefly(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [100.0]
        monkeypatch.setattr(time, "monotonic", lambda: now[0])
        filtered = StreamFilter(same_width=False)
        assert filtered.feed(b"name? ") == b""
        now[0] += redaction.HOLD
        assert filtered.feed(b"") == b"name? "
        assert filtered.feed(b"y" * (LONGEST + 1)) != b""
