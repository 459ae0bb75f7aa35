from __future__ import annotations

import pytest

from build_tasks.errors import UsageError
from build_tasks.model import matrix
from build_tasks.model.matrix import Build, ImageKind, Names, Platform

BUILD = Build(ImageKind.CI, "3.9", Platform.AMD64)
NAMES = Names("ghcr.io", "apache/airflow", "main")


def test_identity_has_image_python_and_architecture() -> None:
    assert BUILD.identity == "ci-3.9-amd64"


def test_image_and_cache_have_airflows_names() -> None:
    assert NAMES.image(BUILD) == "ghcr.io/apache/airflow/main/ci/python3.9"
    assert NAMES.cache(BUILD) == "ghcr.io/apache/airflow/main/ci/python3.9:cache-linux-amd64"


def test_each_platform_has_its_own_cache() -> None:
    other = Build(ImageKind.CI, "3.9", Platform.ARM64)
    assert NAMES.image(other) == NAMES.image(BUILD)
    assert NAMES.cache(other) != NAMES.cache(BUILD)


@pytest.mark.parametrize("text", ["linux/arm64", "arm64", "linux/aarch64", "aarch64", " arm64 "])
def test_platform_accepts_common_architecture_names(text: str) -> None:
    assert Platform.parse(text, "--platform") is Platform.ARM64


def test_unknown_platform_lists_choices() -> None:
    with pytest.raises(UsageError, match=r"^--platform: unknown platform 'linux/s390x': choose "):
        Platform.parse("linux/s390x", "--platform")


@pytest.mark.parametrize(
    ("text", "more"), [("3.12", ", or add it to `pythons` in images.toml"), ("3.x", "")]
)
def test_unknown_python_lists_choices(text: str, more: str) -> None:
    with pytest.raises(UsageError) as caught:
        matrix.parse_python(text, "--python", ["3.9", "3.11"])
    assert str(caught.value) == f"--python: unknown Python {text!r}: choose 3.9, 3.11{more}"


@pytest.mark.parametrize("text", ["3", "3.7", "4.0", "3.11.4", "python3.11", "", "3.011"])
def test_invalid_python_version_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^pythons: expected a Python version like 3.11, got "):
        matrix.parse_python(text, "pythons")


@pytest.mark.parametrize("branch", ["", " "])
def test_empty_branch_is_refused(branch: str) -> None:
    with pytest.raises(UsageError, match=r"^branch: expected a name like main, got "):
        matrix.path_safe(branch)
