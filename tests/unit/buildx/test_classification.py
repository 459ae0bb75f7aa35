"""The texts are what buildx 0.29.1 with BuildKit of Docker 28.5.2 wrote, shortened."""

from __future__ import annotations

import re

import pytest

from build_tasks import errors
from build_tasks.buildx import classification
from build_tasks.process import Completed

FAILED_STEP = """\
#5 [main 2/2] RUN echo one; exit 3
#5 0.204 one
#5 ERROR: process "/bin/sh -c echo one; exit 3" did not complete successfully: exit code: 3
------
 > [main 2/2] RUN echo one; exit 3:
0.204 one
0.204 {last}
------
Dockerfile:2
--------------------
   2 | >>> RUN echo one; exit 3
--------------------
ERROR: failed to build: failed to solve: process "/bin/sh -c echo one; exit 3" did not complete \
successfully: exit code: 3
"""
PUSH = "ERROR: failed to build: failed to solve: failed to push 127.0.0.1:1/a/b:1: "
RESOLVE = (
    "ERROR: failed to build: failed to solve: reg/base:1: failed to resolve source metadata for "
    "reg/base:1: "
)


def classify(text: str, returncode: int = 1) -> errors.ImagesError:
    return classification.classify(Completed(("buildx",), returncode, "", text), "ci-3.9-amd64")


def test_a_failed_step_is_named_with_its_last_line() -> None:
    error = classify(FAILED_STEP.format(last="two"))
    assert type(error) is errors.StepError
    assert str(error) == ("ci-3.9-amd64: two (step 'echo one; exit 3', exit code 3)")


def test_the_first_error_of_apt_is_the_reason() -> None:
    told = (
        "E: Can not write log (Is /dev/pts mounted?) - posix_openpt (19: No such device)\n"
        "E: The repository 'http://h ./ Release' is not signed.\n"
        "E: Some index files failed to download. They have been ignored, or old ones used instead."
    )
    error = classify(FAILED_STEP.format(last=told.replace("\n", "\n0.3 ")))
    assert type(error) is errors.StepError
    assert str(error) == (
        "ci-3.9-amd64: E: The repository 'http://h ./ Release' is not signed. "
        "(step 'echo one; exit 3', exit code 3)"
    )


def test_a_step_that_filled_the_disk_is_a_full_disk() -> None:
    error = classify(FAILED_STEP.format(last="dd: error writing '/t': No space left on device"))
    assert type(error) is errors.DiskError
    assert "airflow-images cache.prune" in str(error)


def test_a_step_that_found_no_versions_is_a_dependency_conflict() -> None:
    error = classify(FAILED_STEP.format(last="x No solution found when resolving dependencies:"))
    assert type(error) is errors.DependencyError
    told = "because a needs b, your requirements are unsatisfiable.\n1.0   hint: try b (try: `x`)"
    error = classify(FAILED_STEP.format(last=told))
    assert type(error) is errors.DependencyError
    assert str(error).startswith("ci-3.9-amd64: no versions fit together: ")
    assert "because a needs b, your requirements are unsatisfiable." in str(error)


def test_a_package_that_a_folder_lacks_is_named() -> None:
    told = "x No solution found\n0.3 Because b was not found in the cache and you require b==1.0."
    error = classify(FAILED_STEP.format(last=f"No solution found when resolving\n0.3 {told}"))
    assert type(error) is errors.DependencyError
    assert str(error) == (
        "ci-3.9-amd64: the folder of packages (index.find-links) lacks b, and no index is used "
        "(index.offline): Because b was not found in the cache and you require b==1.0. "
        "(step 'echo one; exit 3')"
    )


@pytest.mark.parametrize(
    "last",
    [
        "Unable to connect to deb.debian.org:http: [IP: 203.0.113.80 80]\n0.3 E: Some index files "
        "failed to download. They have been ignored, or old ones used instead.",
        "W: Failed to fetch http://deb.debian.org/debian/dists/bookworm/InRelease  Temporary "
        "failure resolving 'deb.debian.org'\n0.3 E: Package 'git' has no installation candidate",
        "error: Failed to fetch: `https://example.org/simple/a/`\n0.3   Caused by: Request failed "
        "after 12 retries\n0.3   Caused by: error sending request for url",
        "fatal: unable to access 'https://example.org/a.git/': Could not resolve host: example.org",
        "curl: (28) Operation timed out after 30001 milliseconds with 0 bytes received",
        "curl: (7) Failed to connect to example.org port 443 after 3 ms",
        "ERROR: HTTP error 503 Service Unavailable while getting https://example.org/a.whl",
    ],
)
def test_a_step_that_reached_no_server_is_worth_another_try(last: str) -> None:
    """Regression: a mirror that was away for three minutes failed a build."""
    error = classify(FAILED_STEP.format(last=last))
    assert type(error) is errors.StepError
    assert error.transient
    assert not classify(FAILED_STEP.format(last="404 Not Found")).transient


def test_a_step_without_its_log_is_still_named() -> None:
    error = classify(
        'ERROR: failed to solve: process "/bin/sh -c false" did not complete successfully: '
        "exit code: 1"
    )
    assert str(error) == "ci-3.9-amd64: step '/bin/sh -c false' failed with exit code 1"


def test_long_texts_are_shortened() -> None:
    error = classify(FAILED_STEP.format(last="x" * 1000))
    assert len(str(error)) < 400
    assert str(error).endswith("… (step 'echo one; exit 3', exit code 3)")


def test_packages_that_do_not_have_their_hash_are_named() -> None:
    log = (
        "  \u00d7 Failed to download `six==1.16.0`",
        "  ╰─▶ Hash mismatch for `six==1.16.0`",
        *(
            "",
            "      Expected:",
            "        sha256:8abc",
            "",
            "      Computed:",
            "        sha256:8abb",
        ),
    )
    text = "".join(f"0.5 {line}\n" for line in log)
    error = classify(FAILED_STEP.format(last=f"x\n{text}0.6 sha256:8abb"))
    assert type(error) is errors.StepError
    assert str(error).startswith("ci-3.9-amd64: Hash mismatch for `six==1.16.0` (step ")


@pytest.mark.parametrize(
    ("hint", "status"),
    [
        (
            (
                "hint: An index URL (https://h:8443/simple/) could not be queried",
                "due to a lack of valid authentication credentials (401 Unauthorized).",
            ),
            401,
        ),
        (
            (
                "hint: An index (https://h:8443/simple/) returned a 403",
                "Forbidden error. Check that the index URL is correct and the",
                "credentials are valid.",
            ),
            403,
        ),
    ],
)
def test_an_index_that_refuses_the_credentials_is_named(hint: tuple[str, ...], status: int) -> None:
    log = (
        "  \u00d7 No solution found when resolving dependencies:",
        "  ╰─▶ Because b was not found in the package registry and you require b==1.0, we can",
        "      conclude that your requirements are unsatisfiable.",
        "",
        *(f"      {line}" for line in hint),
    )
    text = "\n".join(f"0.5 {line}" for line in log)
    error = classify(FAILED_STEP.format(last=f"x\n{text}"))
    assert type(error) is errors.AuthError
    assert str(error) == (
        "ci-3.9-amd64: the index https://h:8443/simple/ refuses the credentials, or requires some "
        f"({status}; step 'echo one; exit 3')"
    )


def test_uv_says_what_requires_what() -> None:
    log = (
        "  \u00d7 No solution found when resolving dependencies:",
        "  ╰─▶ Because greedy==1.0 depends on idna>=3.7 and idna==3.6, we can",
        "      conclude that greedy==1.0 cannot be used.",
        "      And because only greedy==1.0 is available and you require greedy,",
        "      we can conclude that your requirements are unsatisfiable.",
    )
    text = "\n".join(f"0.5 {line}" for line in log)
    error = classify(FAILED_STEP.format(last=f"x\n{text}"))
    assert type(error) is errors.DependencyError
    assert "Because greedy==1.0 depends on idna>=3.7 and idna==3.6, we can conclude" in str(error)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (PUSH + "unexpected status from HEAD request to http://x: 500 Internal", "RegistryError"),
        (PUSH + "push access denied, repository does not exist", "AuthError"),
        (PUSH + "unexpected status from POST request to http://x: 401 Unauthorized", "AuthError"),
        (PUSH + "dial tcp 127.0.0.1:1: connect: connection refused", "NetworkError"),
        (PUSH + "something", "RegistryError"),
        (RESOLVE + "reg/base:1: not found", "RegistryError"),
        (RESOLVE + 'Head "https://x": dial tcp: lookup x on y: no such host', "NetworkError"),
        ("ERROR: failed to build: failed to solve: write /x: no space left on device", "DiskError"),
        (
            "ERROR: failed to build: failed to solve: dockerfile parse error on line 1: unknown "
            "instruction: FORM (did you mean FROM?)",
            "DockerfileError",
        ),
        (
            "ERROR: failed to build: failed to solve: failed to compute cache key: failed to "
            'calculate checksum of ref a::b: "/nothing": not found',
            "DockerfileError",
        ),
        (
            "ERROR: failed to build: failed to solve: lstat /nothing: no such file or directory",
            "DockerfileError",
        ),
        (
            'ERROR: failed to build: failed to solve: target stage "x" could not be found',
            "DockerfileError",
        ),
        ('ERROR: no builder "nope" found', "EngineError"),
        (
            "ERROR: Cannot connect to the Docker daemon at unix:///x. Is the daemon running?",
            "EngineError",
        ),
        ("unknown flag: --provenance\n", "EngineError"),
        ("ERROR: a thing nobody knew", "CommandError"),
        ("", "CommandError"),
    ],
)
def test_the_class_follows_from_buildkits_words(text: str, kind: str) -> None:
    error = classify(text)
    assert type(error).__name__ == kind
    assert "\n" not in str(error)
    assert str(error).startswith("ci-3.9-amd64: ")
    assert "failed to solve" not in str(error)


def test_a_base_image_is_named_once() -> None:
    error = classify(RESOLVE + "reg/base:1: not found")
    assert str(error) == "ci-3.9-amd64: base image reg/base:1: not found"


@pytest.mark.parametrize("code", [1, 130])
def test_a_build_that_somebody_else_cancelled_is_no_failed_step(code: int) -> None:
    error = classify("ERROR: failed to build: failed to solve: Canceled: context canceled", code)
    assert type(error) is errors.EngineError


def test_a_builder_whose_container_is_ending_is_asked_again() -> None:
    listing = (
        "ERROR: failed to initialize builder x (x0): listing workers: failed to list workers: "
    )
    ended = 'Unavailable: connection error: desc = "error reading server preface: EOF"'
    assert classify(listing + ended).transient
    assert type(classify(listing + ended)) is errors.EngineError
    assert not classify(listing + "Unavailable: connection error: no such host").transient
    daemon = "ERROR: Error response from daemon: container 0a1b is marked for removal"
    assert classify(daemon).transient


def test_another_contexts_engine_is_said_with_what_selects_it() -> None:
    error = classify('ERROR: use `docker --context=colima buildx` to switch to context "colima"')
    assert type(error) is errors.EngineError
    assert str(error).endswith("another docker context: select it with DOCKER_CONTEXT=colima")


HELPER = (
    'error getting credentials - err: exec: "docker-credential-desktop.exe": executable file not '
    "found in $PATH, out: ``"
)


@pytest.mark.parametrize(
    ("before", "registry"),
    [
        (
            f"#5 ERROR: failed to push reg.example.com:5000/a/x:1: {HELPER}\n",
            "reg.example.com:5000",
        ),
        (" > [internal] load metadata for 127.0.0.1:5000/python:3.11:\n", "127.0.0.1:5000"),
        (" > [internal] load metadata for docker.io/library/python:3.11:\n", "docker.io"),
        (" > importing cache manifest from ghcr.io/a/b:cache:\n", "ghcr.io"),
    ],
)
def test_a_missing_credential_helper_names_registry_and_file(
    before: str, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", "/home/me/docker")
    error = classify(f"{before}ERROR: failed to build: failed to solve: {HELPER}\n")
    assert type(error) is errors.AuthError
    assert str(error) == (
        f"ci-3.9-amd64: no credentials for {registry}: exec: "
        '"docker-credential-desktop.exe": executable file not found in $PATH (credsStore and '
        "credHelpers in /home/me/docker/config.json name the program)"
    )


def test_a_credential_helper_that_imagetools_misses_is_told_with_the_registry() -> None:
    command = ("buildx", "imagetools", "inspect", "--raw", "quay.io/a/b:1")
    error = classification.classify(
        Completed(command, 1, "", f"ERROR: {HELPER}\n"), "quay.io/a/b:1"
    )
    assert type(error) is errors.AuthError
    assert "no credentials for quay.io: exec: " in str(error)
    assert "no credentials: exec: " in str(classify(f"ERROR: {HELPER}\n"))


def test_every_rule_names_a_class_of_errors_and_valid_patterns() -> None:
    table = classification._messages()
    for rule in table["rules"]:
        assert issubclass(getattr(errors, rule["error"]), errors.ImagesError)
        assert rule.keys() <= {"error", "messages", "advice", "transient"}
    for messages in (*(rule["messages"] for rule in table["rules"]), *table["steps"].values()):
        assert messages
        for message in messages:
            re.compile(message)
    assert table["rules"][0]["error"] == "DiskError"  # also of a failed step
