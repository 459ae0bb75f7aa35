from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from build_tasks import errors
from build_tasks.buildx.imagetools import RegistryTimeout
from build_tasks.errors import from_os_error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.StepError, "step"),
        (errors.CommandError, "command"),
        (errors.CommandTimeout, "timeout"),
        (errors.MissingProgram, "program"),
        (errors.MissingImage, "registry"),
        (RegistryTimeout, "network"),
    ],
)
def test_a_kind_is_a_word_that_people_know(error: type[errors.ImagesError], kind: str) -> None:
    assert error("x").kind == kind


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (errno.EACCES, errors.DiskError, 6),
        (errno.EROFS, errors.DiskError, 6),
        (errno.ENOTDIR, errors.DiskError, 6),
        (errno.ELOOP, errors.DiskError, 6),
        (errno.ENAMETOOLONG, errors.DiskError, 6),
        (errno.ECONNREFUSED, errors.NetworkError, 7),
        (errno.ENETUNREACH, errors.NetworkError, 7),
    ],
)
def test_errors_of_the_system_are_one_line_with_the_file(
    number: int, kind: type[errors.ImagesError], code: int
) -> None:
    error = from_os_error(OSError(number, os.strerror(number), "/a/b"))
    assert (type(error), error.exit_code) == (kind, code)
    assert str(error) == f"/a/b: {os.strerror(number)}"


def test_a_full_disk_comes_with_advice() -> None:
    error = from_os_error(OSError(errno.ENOSPC, "No space left on device"))
    assert type(error) is errors.DiskError
    assert str(error) == "No space left on device (free some, or: airflow-images cache.prune)"


def test_errors_with_two_file_names_and_with_bytes() -> None:
    error = from_os_error(OSError(errno.EXDEV, "Invalid cross-device link", b"/a", None, "/b"))
    assert str(error) == "/a -> /b: Invalid cross-device link"
    assert str(from_os_error(OSError(errno.EBADF, "Bad file descriptor", 7))).startswith("7: ")


def test_errors_without_a_file_name(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="same file") as caught:
        shutil.copyfile(__file__, __file__)
    error = from_os_error(caught.value)
    assert type(error) is errors.ImagesError
    assert "same file" in str(error)
    assert str(from_os_error(OSError())) == "OSError"
