"""Secrets are found by their context and their prefix, and nothing else is."""

from __future__ import annotations

import time

import pytest

from build_tasks.text import redaction
from build_tasks.text.redaction import redact

SECRET = "hunter2/X+y"  # noqa: S105 - of nothing
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
    "env DOCKER_HOST=unix:///run/docker.sock docker run --user 1000:0 --init image",
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
    "https://example.org:8443/@scope/x@2 and docker-image://localhost:5000/x:1@sha256:0123",
    "https://example.org:/x@2 and https://[::1]:8443/x@2",
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
        ("https://user:p/w@example.org/x", "https://user:***@example.org/x"),
        ("https://u:ab/cd/ef@example.org:1/x", "https://u:***@example.org:1/x"),
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
