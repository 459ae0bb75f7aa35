from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from build_tasks.errors import DiskError, UsageError
from build_tasks.model.digest_file import DigestFile
from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.publish import digests

IMAGE = "ghcr.io/apache/airflow/main/prod/python3.11"
BUILDS = [Build(ImageKind.PROD, "3.11", platform) for platform in Platform]


def part(platform: Platform = Platform.AMD64, **changes: object) -> DigestFile:
    said = DigestFile(
        identity=f"prod-3.11-{platform.architecture}",
        image=IMAGE,
        kind="prod",
        python="3.11",
        platform=platform.value,
        slim=False,
        airflow="3.3.2",
        commit="a" * 40,
        digest=f"sha256:{'1' * 64}",
    )
    return replace(said, **changes)  # type: ignore[arg-type]  # a test's own fields


def choose(folder: Path, commit: str = "") -> list[DigestFile]:
    return digests.choose(digests.read(folder), BUILDS, image=IMAGE, commit=commit, place=folder)


def both(folder: Path, **of_arm64: object) -> None:
    digests.write(folder, part())
    digests.write(folder, part(Platform.ARM64, **of_arm64))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    both(tmp_path / "amd64")  # as CI's artifacts come: each in a folder of its own
    (tmp_path / "amd64" / "prod-3.11-arm64.json").rename(tmp_path / "other.json")
    settings = choose(tmp_path, "a" * 12)
    assert [one.platform for one in settings] == ["linux/amd64", "linux/arm64"]
    assert settings[0] == part(file=tmp_path / "amd64" / "prod-3.11-amd64.json")
    assert settings[0].reference == f"{IMAGE}@sha256:{'1' * 64}"
    written = json.loads((tmp_path / "other.json").read_text())
    assert written["schema"] == digests.SCHEMA
    assert "file" not in written


def test_the_folder_is_the_projects_unless_named(tmp_path: Path) -> None:
    assert digests.folder(None) == digests.FOLDER
    assert digests.folder(str(tmp_path)) == tmp_path


def test_a_build_that_begins_forgets_the_one_before(tmp_path: Path) -> None:
    digests.write(tmp_path, part())
    digests.forget(tmp_path, part())
    digests.forget(tmp_path, part())
    assert digests.read(tmp_path) == []


def test_a_digest_that_cannot_be_written_is_still_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match=rf"pushed {IMAGE}@sha256:1+, and .* cannot be written: "):
        digests.write(tmp_path / "file", part())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"image": "ghcr.io/other"},
            "is of ghcr.io/other, not of ghcr.io/apache/airflow/main/prod/python3.11: merge with",
        ),
        (
            {"commit": "b" * 40},
            "is of commit bbbbbbbbbbbb, not of aaaaaaaaaaaa: build prod-3.11-arm64 again, or merge",
        ),
    ],
)
def test_a_part_of_something_else_is_one_line(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    both(tmp_path, **changes)
    with pytest.raises(UsageError) as caught:
        choose(tmp_path, "a" * 40)
    assert str(caught.value).startswith(f"{tmp_path / 'prod-3.11-arm64.json'}: {message}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"commit": ""},
            "not of one commit: prod-3.11-amd64 of aaaaaaaaaaaa, prod-3.11-arm64 of none",
        ),
        ({"airflow": "3.3.1"}, "not of one airflow: prod-3.11-amd64 of 3.3.2, prod-3.11-arm64 of"),
    ],
)
def test_parts_that_do_not_belong_together_are_one_line(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    both(tmp_path, **changes)
    with pytest.raises(UsageError) as caught:
        choose(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: {message}")


def test_a_missing_platform_is_one_line(tmp_path: Path) -> None:
    digests.write(tmp_path, part())
    digests.write(tmp_path, part(Platform.ARM64, identity="ci-3.11-arm64", kind="ci"))
    with pytest.raises(UsageError) as caught:
        choose(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: no digest of prod-3.11-arm64, there is ci-3.11-arm64, prod-3.11-amd64: "
        "build it with: nox -s build_prod-3.11-arm64 -- --push-by-digest"
    )
    with pytest.raises(UsageError, match="there is no such folder of digests: name it with"):
        choose(tmp_path / "none")


def test_a_platform_that_is_there_twice_is_one_line(tmp_path: Path) -> None:
    both(tmp_path)
    digests.write(tmp_path / "z", part(Platform.ARM64))
    assert len(choose(tmp_path)) == 2  # the same one, downloaded twice
    digests.write(tmp_path / "z", part(Platform.ARM64, digest=f"sha256:{'2' * 64}"))
    with pytest.raises(UsageError, match=r"z/prod-3.11-arm64.json: are both of prod-3.11-arm64"):
        choose(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda said: said.pop("digest"), "contradicts itself"),
        (lambda said: said.pop("image"), "is no digest that a build of this suite wrote"),
        (lambda said: said.update(more=1), "is no digest that a build of this suite wrote"),
        (lambda said: said.update(platform="x"), "is no digest that a build of this suite wrote"),
        (lambda said: said.update(commit=1), "is no digest that a build of this suite wrote"),
        (lambda said: said.update(schema=2), "was written by another version of this suite"),
        (lambda said: said.update(python="3.12"), "contradicts itself: it was changed by hand"),
        (lambda said: said.update(digest="sha256:1"), "contradicts itself"),
    ],
)
def test_a_file_that_is_none_of_ours_is_one_line(
    tmp_path: Path, change: object, message: str
) -> None:
    file = digests.write(tmp_path, part()).file
    assert file
    said = json.loads(file.read_text())
    change(said)  # type: ignore[operator]  # one of the lambdas above
    file.write_text(json.dumps(said))
    with pytest.raises(UsageError) as caught:
        digests.read(tmp_path)
    assert str(caught.value).startswith(f"{file}: {message}")


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(UsageError, match=r"folder.json: cannot be read: "):
        digests.read(tmp_path)
    (tmp_path / "folder.json").rmdir()
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(UsageError, match=r"list.json: is no digest"):
        digests.read(tmp_path)
