"""Plant a secret in every source, and look for it in every output and file."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from fake_docker import Bench

#: Of the environment, of a file, of Docker's credentials, and one that only looks like a secret.
CANARIES = ("canary-env-4711", "canary-file-4712", "canary-docker-4713", "canary4714")
KNOWN = CANARIES[:3]


@pytest.fixture
def planted(bench: Bench) -> Bench:
    (bench.folder / ".netrc").write_text(f"machine h\nlogin me\npassword {CANARIES[1]}\n")
    auth = base64.b64encode(f"me:{CANARIES[2]}".encode()).decode()
    config = bench.folder / "docker-config" / "config.json"
    config.write_text(json.dumps({"auths": {"ghcr.io": {"auth": auth}}}))
    bench.environment["GITHUB_TOKEN"] = CANARIES[0]
    return bench


def said(*, plain: bool) -> str:
    """Return what buildx writes of a step that prints all canaries and fails.

    Args:
        plain: in BuildKit's plain display, and not as events.
    """
    began, ended = "2026-01-01T00:00:00.1Z", "2026-01-01T00:00:02.35Z"
    name = f"[main 2/2] RUN echo a=TOKEN={CANARIES[3]} {' '.join(KNOWN)}"
    log = [*KNOWN, f"PGPASSWORD={CANARIES[3]}", *map(encoded, KNOWN)]
    error = f'process "/bin/sh -c {name}" did not complete successfully: exit code: 7'
    vertex = {"digest": "sha256:1", "name": name, "started": began}
    data = encoded("\n".join((*log, "")))
    told = [
        {"vertexes": [vertex]},
        {"logs": [{"vertex": "sha256:1", "data": data, "timestamp": began}]},
        {"vertexes": [{**vertex, "completed": ended, "error": error}]},
    ]
    shown = [f"#5 {name}", *(f"#5 0.123 {line}" for line in log), f"#5 ERROR: {error}"]
    lines = shown if plain else [*map(json.dumps, told)]
    excerpt = (
        f"Dockerfile:1\n--------\n   1 | >>> {name}\n--------\nERROR: failed to solve: {error}"
    )
    return "\n".join((*lines, excerpt))


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def kept(folder: Path) -> str:
    """Return the text of every file that the suite has written."""
    return "\n".join(
        file.read_text(errors="replace")
        for file in folder.rglob("*")
        if file.is_file() and "contexts" not in file.parts
    )


@pytest.mark.parametrize(
    "command",
    [
        ("image.build", "--python", "3.11"),
        ("image.build", "--python", "3.11", "--progress", "plain"),
        ("image.build", "--python", "3.11,3.12", "--retries", "0"),
        ("image.build", "--python", "3.11", "--dry-run", "--build-id", "run-1"),
        ("bake", "--python", "3.11"),
        ("settings",),
    ],
    ids=" ".join,
)
def test_no_output_or_file_has_a_canary(planted: Bench, command: tuple[str, ...]) -> None:
    done = planted.invoke(
        *command,
        FAKE_STDERR=said(plain="plain" in command),
        FAKE_EXIT="1",
        FAKE_FAILS="--metadata-file",
    )
    seen = done.stdout + done.stderr + kept(planted.folder / "cache")
    seen += "\n".join(" ".join(words) for words in planted.told())
    seen += planted.invoke("image.report", "--json").stdout
    seen += planted.invoke("image.report", "--format", "html").stdout
    assert ("***" in seen) == bool(planted.builds()), "the canaries were there"
    for canary in CANARIES:
        assert canary not in seen
        part = encoded(canary).rstrip("=")[:-1]
        assert part not in seen, seen[max(seen.find(part) - 300, 0) :][:400]


@pytest.mark.parametrize("front_end", ["nox", "invoke"])
@pytest.mark.parametrize(
    "options",
    [
        ("--build-id", CANARIES[0]),
        ("--jobs", CANARIES[0]),
        ("--tag", CANARIES[1] + "/"),
        ("--base-image", f"me:{CANARIES[3]}@h/x"),
        ("--base-image", f"https://me:{CANARIES[3]}@h/x"),
        ("--registry", f"me:{CANARIES[3]}@h"),
        ("--dependencies-python", f"x @ https://me:{CANARIES[3]}@h/x.whl"),
        ("--dependencies-python", f"x @ https://h/x.whl?token={CANARIES[3]}"),
        ("--cache-from", f"type=s3,bucket=b,endpoint_url=https://me:{CANARIES[3]}@h"),
        ("--index-default", f"https://me:{CANARIES[3]}@h/simple/"),
        ("--index-extra", f"corp=https://{CANARIES[3]}@h/simple/"),
        ("--index-find-links", f"https://h/links?token={CANARIES[3]}"),
        ("--cache-from", f"me:{CANARIES[3]}@h/c"),
        ("--cache-to", f"type=azblob,account_url=https://h?sv=1&sig={CANARIES[3]}"),
        ("--cache-to", f"type=s3,bucket=b,secret_access_key={CANARIES[3]}"),
        ("--sbom-scanner", f"me:{CANARIES[3]}@h/x"),
        ("--build-arguments", f"DB_PASSWORD={CANARIES[3]}"),
        ("--build-secrets", f"pypi={CANARIES[3]}"),
        ("--build-secrets", CANARIES[3]),
        ("--https-proxy", f"http://me:{CANARIES[3]}@h:3128"),
        ("--apt-mirror", f"https://me:{CANARIES[3]}@h/debian"),
        ("--progress", CANARIES[2]),
    ],
    ids=lambda option: "-".join(option)[:24] if isinstance(option, tuple) else option,
)
def test_a_canary_in_an_option_is_refused_in_one_line(
    planted: Bench, front_end: str, options: tuple[str, str]
) -> None:
    if front_end == "nox":
        done = planted.nox("build_ci-3.11", *options)
    else:
        done = planted.invoke("image.build", "--python", "3.11", *options)
    assert done.returncode == (1 if front_end == "nox" else 2), done.stderr
    assert "Traceback" not in done.stderr
    assert planted.builds() == []
    for canary in CANARIES:
        assert canary not in done.stdout + done.stderr
