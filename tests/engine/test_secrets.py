"""Secrets and helpers of images, on a real engine with Dockerfiles of a few lines."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from suite import ROOT, Suite, last

CANARY, NAMED = "canary-env-4711", "canary4714"
BUILD = ("image.build", "--python", "3.11", "--retries", "0")
HEAD = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE} AS main\n"
NETWORK = "RUN --mount=type=secret,id=ca-bundle test -s /run/secrets/ca-bundle\n"


@pytest.fixture
def failing(project: Suite) -> Suite:
    """A checkout whose images have a step that prints secrets and fails."""
    encoded = base64.b64encode(f"me:{CANARY}".encode()).decode()
    lines = "".join(
        f"echo {text} && "
        for text in (CANARY, encoded, f"a=TOKEN={NAMED}", f"https://me:{NAMED}@example.org")
    )
    for name in ("Dockerfile.ci", "Dockerfile"):
        (project.root / name).write_text(f"{HEAD}RUN {lines}exit 7\n")
    return project.having(GITHUB_TOKEN=CANARY, BUILDX_NO_DEFAULT_ATTESTATIONS="1")


@pytest.mark.parametrize(
    ("terminal", "options"),
    [
        (False, ()),
        (False, ("--progress", "plain")),
        (False, ("--kind", "ci,prod")),
        (True, ()),
        (True, ("--kind", "ci,prod")),
    ],
)
def test_no_display_shows_a_secret_of_a_failing_step(
    failing: Suite, terminal: bool, options: tuple[str, ...]
) -> None:
    kind = () if "--kind" in options else ("--kind", "ci")
    command = [sys.executable, "-m", "invoke", *BUILD, *kind, *options]
    shown = on_terminal(failing, command) if terminal else in_pipe(failing, command)
    kept = "".join(
        file.read_text(errors="replace")
        for folder in ("logs", "records")
        for file in (Path(failing.environment["AIRFLOW_IMAGES_CACHE"]) / folder).rglob("*")
        if file.is_file()
    )
    assert "exit code: 7" in shown or "exit code 7" in shown
    assert "***" in shown
    for text in (CANARY, NAMED, base64.b64encode(CANARY.encode()).decode()[4:16]):
        assert text not in shown
        assert text not in kept


def in_pipe(suite: Suite, command: list[str]) -> str:
    done = subprocess.run(
        command,
        cwd=suite.root,
        env=dict(suite.environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    return done.stdout + done.stderr


def on_terminal(suite: Suite, command: list[str]) -> str:
    """Return all that a terminal of 200 columns gets."""
    leader, follower = os.openpty()
    os.set_blocking(leader, True)
    read: list[bytes] = []

    def drain() -> None:
        while True:
            try:
                read.append(os.read(leader, 65536))
            except OSError:
                return

    subprocess.run(["/usr/bin/stty", "cols", "200", "rows", "50"], stdin=follower, check=True)
    reader = threading.Thread(target=drain)
    reader.start()
    environment = {**suite.environment, "TERM": "xterm-256color"}
    subprocess.run(
        command,
        cwd=suite.root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        check=False,
        timeout=600,
    )
    os.close(follower)
    reader.join(60)
    os.close(leader)
    return b"".join(read).decode(errors="replace")


def test_a_ca_bundle_that_is_too_big_for_buildkit_works(project: Suite, tmp_path: Path) -> None:
    own = Path("/etc/ssl/certs/ca-certificates.crt").read_text()
    big = tmp_path / "big.pem"
    big.write_text(own * (1 + 600_000 // len(own)))
    (project.root / "Dockerfile.ci").write_text(HEAD + NETWORK)
    done = project.having(SSL_CERT_FILE=str(big)).invoke(*BUILD)
    assert done.returncode == 0, done.stderr[-2000:]
    junk = tmp_path / "junk.pem"
    junk.write_text("x" * 600_000)
    done = project.invoke(*BUILD, "--ca-bundle", str(junk))
    assert done.returncode == 2
    assert done.stderr.strip().endswith(
        f"CA bundle {junk}: has no certificate (-----BEGIN CERTIFICATE-----)"
    )


def test_a_ca_bundle_of_any_size_reaches_the_steps(project: Suite, tmp_path: Path) -> None:
    bundle = tmp_path / "huge.pem"
    bundle.write_text(
        "".join(
            f"-----BEGIN CERTIFICATE-----\n{number:064d}\n-----END CERTIFICATE-----\n"
            for number in range(10_000)
        )
    )
    (project.root / "Dockerfile.ci").write_text(HEAD + NETWORK)
    done = project.invoke(*BUILD, "--ca-bundle", str(bundle))
    assert done.returncode == 2
    assert last(done.stderr).startswith("Dockerfile.ci: the CA bundle has more than 500 KiB")
    (project.root / "Dockerfile.ci").write_text(
        HEAD.replace("\n", "\nFROM scratch AS ca-bundle\n", 1)
        + "RUN --mount=type=secret,id=ca-bundle,required=false "
        "--mount=type=bind,from=ca-bundle,target=/run/ca-bundle "
        "[ ! -e /run/secrets/ca-bundle ]; grep -c BEGIN /run/ca-bundle/ca-bundle.pem\n"
    )
    done = project.invoke(*BUILD, "--ca-bundle", str(bundle), "--progress", "plain")
    assert done.returncode == 0, done.stderr[-2000:]
    assert re.search(r"\d 10000$", done.stderr, re.MULTILINE)
    for path in ("Dockerfile", "Dockerfile.ci"):  # the steps themselves can be planned with it
        (project.root / path).write_text((ROOT / path).read_text())
    shown = project.good(*BUILD, "--kind", "ci,prod", "--ca-bundle", str(bundle), "--dry-run")
    assert shown.stdout.count("--build-context ca-bundle=") == 2


def test_the_log_groomer_removes_old_logs_in_a_container(project: Suite) -> None:
    found = re.search(
        r"COPY [^\n]* /clean-logs\n.*?\nEOF\n", (ROOT / "Dockerfile").read_text(), re.DOTALL
    )
    assert found
    (project.root / "Dockerfile.ci").write_text(f"{HEAD}{found[0]}USER 50000:0\n")
    done = project.invoke(*BUILD)
    assert done.returncode == 0, done.stderr[-2000:]
    tags = re.search(r"loaded (\S+)", done.stderr)
    assert tags
    script = (
        "cd /tmp && mkdir -p logs/dag/old logs/dag/new logs/lost+found && touch logs/dag/new/1.log "
        "&& touch -d '20 days ago' logs/dag/old/1.log logs/lost+found/1.log && "
        "sleep() { kill $$; } && export -f sleep && "  # end with the first round
        "timeout 300 /clean-logs && find logs | sort"
    )
    said = project.engine(
        *("run", "--rm", "--env", "AIRFLOW_HOME=/tmp", tags[1], "bash", "-c", script)
    )
    assert said.splitlines() == [
        *(
            "removing logs of /tmp/logs that are older than 21600 minutes",
            "removed 'dag/old/1.log'",
        ),
        *("logs", "logs/dag", "logs/dag/new", "logs/dag/new/1.log"),
        *("logs/lost+found", "logs/lost+found/1.log"),
    ]
