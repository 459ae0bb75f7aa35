from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import projects
import pytest

from build_tasks.errors import CommandError, DiskError, UsageError
from build_tasks.model.build import DigestFile
from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.publish import digests

IMAGE = "ghcr.io/apache/airflow/main/prod/python3.11"
BUILDS = [Build(ImageKind.PROD, "3.11", platform) for platform in Platform]


def pushed(platform: Platform = Platform.AMD64, **changes: object) -> DigestFile:
    digest = f"sha256:{'1' * 64}"
    build = Build(ImageKind.PROD, "3.11", platform)
    return replace(DigestFile(build, IMAGE, "3.3.2", "a" * 40, digest), **changes)  # type: ignore[arg-type]  # a test's own fields


def select(folder: Path, commit: str = "") -> list[DigestFile]:
    return digests.select(digests.read(folder), BUILDS, image=IMAGE, commit=commit, folder=folder)


def both(folder: Path, **of_arm64: object) -> None:
    digests.write(folder, pushed())
    digests.write(folder, pushed(Platform.ARM64, **of_arm64))


def test_written_files_are_read(tmp_path: Path) -> None:
    both(tmp_path / "amd64")  # as CI's artifacts come: each in a folder of its own
    (tmp_path / "amd64" / "prod-3.11-arm64.json").rename(tmp_path / "other.json")
    selected = select(tmp_path, "a" * 12)
    assert [file.build for file in selected] == BUILDS
    assert selected[0] == pushed(file=tmp_path / "amd64" / "prod-3.11-amd64.json")
    assert selected[0].reference == f"{IMAGE}@sha256:{'1' * 64}"
    written = json.loads((tmp_path / "other.json").read_text())
    assert written["schema"] == digests.SCHEMA
    assert "file" not in written


def test_digests_have_a_default_folder(tmp_path: Path) -> None:
    project = projects.at(Path("/p"))
    assert digests.folder(None, project) == Path("/p/dist/digests")
    assert digests.folder(str(tmp_path), project) == tmp_path


def test_a_digest_file_can_be_removed_twice(tmp_path: Path) -> None:
    digests.write(tmp_path, pushed())
    digests.remove(tmp_path, BUILDS[0])
    digests.remove(tmp_path, BUILDS[0])
    assert digests.read(tmp_path) == []


def test_a_digest_that_cannot_be_written_is_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match=rf"pushed {IMAGE}@sha256:1+, but .* cannot be written: "):
        digests.write(tmp_path / "file", pushed())


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
def test_a_file_of_another_image_or_commit_is_one_line(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    both(tmp_path, **changes)
    with pytest.raises(UsageError) as caught:
        select(tmp_path, "a" * 40)
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
def test_files_of_different_versions_are_one_line(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    both(tmp_path, **changes)
    with pytest.raises(UsageError) as caught:
        select(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: {message}")


def test_a_missing_platform_is_one_line(tmp_path: Path) -> None:
    digests.write(tmp_path, pushed())
    digests.write(tmp_path, pushed(build=Build(ImageKind.CI, "3.11", Platform.ARM64)))
    with pytest.raises(UsageError) as caught:
        select(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: no digest of prod-3.11-arm64, only of ci-3.11-arm64, prod-3.11-amd64: "
        "build it with: airflow-images image.build --kind prod --python 3.11 "
        "--platform linux/arm64 --push-by-digest"
    )
    with pytest.raises(UsageError, match=": no such folder: name the folder of digests"):
        select(tmp_path / "none")


def test_two_digests_of_one_platform_are_one_line(tmp_path: Path) -> None:
    both(tmp_path)
    digests.write(tmp_path / "z", pushed(Platform.ARM64))
    assert len(select(tmp_path)) == 2  # the same one, downloaded twice
    digests.write(tmp_path / "z", pushed(Platform.ARM64, digest=f"sha256:{'2' * 64}"))
    with pytest.raises(UsageError, match=r"z/prod-3.11-arm64.json: are both of prod-3.11-arm64"):
        select(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("digest"), "is inconsistent"),
        (lambda data: data.pop("image"), "is not a digest file of this suite"),
        (lambda data: data.update(more=1), "is not a digest file of this suite"),
        (lambda data: data.update(platform="x"), "is not a digest file of this suite"),
        (lambda data: data.update(commit=1), "is not a digest file of this suite"),
        (
            lambda data: data.update(schema=2),
            "was written by another version of this suite",
        ),
        (lambda data: data.update(python="3.12"), "is inconsistent: it was edited by hand"),
        (lambda data: data.update(digest="sha256:1"), "is inconsistent"),
    ],
)
def test_another_file_is_one_line(tmp_path: Path, change: object, message: str) -> None:
    file = digests.write(tmp_path, pushed()).file
    assert file
    document = json.loads(file.read_text())
    change(document)  # type: ignore[operator]  # one of the lambdas above
    file.write_text(json.dumps(document))
    with pytest.raises(UsageError) as caught:
        digests.read(tmp_path)
    assert str(caught.value).startswith(f"{file}: {message}")


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(UsageError, match=r"folder.json: cannot be read: "):
        digests.read(tmp_path)
    (tmp_path / "folder.json").rmdir()
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(UsageError, match=r"list.json: is not a digest file"):
        digests.read(tmp_path)


def test_a_missing_digest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"prod-3.11-amd64: pushed, but buildx reported no dig"):
        digests.record(tmp_path, pushed(digest=""), "", print)


def test_a_merge_in_this_run_does_not_need_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    messages: list[str] = []
    digest = f"sha256:{'1' * 64}"
    recorded = digests.record(
        tmp_path / "file", pushed(), digest, messages.append, merged_here=True
    )
    assert recorded == pushed()
    assert messages[0].startswith(f"warning: prod-3.11-amd64: pushed {IMAGE}@{digest}, but ")
    with pytest.raises(DiskError):
        digests.record(tmp_path / "file", pushed(), digest, print)
    digests.remove(tmp_path / "file", BUILDS[0], merged_here=True)
    with pytest.raises(DiskError, match="cannot be removed"):
        digests.remove(tmp_path / "file", BUILDS[0])


def test_platforms_on_different_base_images_are_no_image(tmp_path: Path) -> None:
    """A tag may move between the builds of two machines; what is not known does not count."""
    bases = [f"sha256:{digit * 64}" for digit in "89"]
    both(tmp_path, base=bases[0])
    assert [part.base for part in select(tmp_path)] == ["", bases[0]]
    digests.write(tmp_path, pushed(base=bases[1]))
    with pytest.raises(UsageError) as caught:
        select(tmp_path)
    assert str(caught.value) == (
        "the platforms stand on different base images: prod-3.11-amd64 on sha256:999999999999, "
        "prod-3.11-arm64 on sha256:888888888888: build the older one again, or all with --locked"
    )


def test_a_digest_file_of_an_older_suite_has_no_base_and_no_name(tmp_path: Path) -> None:
    both(tmp_path)
    for file in tmp_path.glob("*.json"):
        document = json.loads(file.read_text())
        del document["base"], document["name"]
        file.write_text(json.dumps(document))
    assert [(part.base, part.build) for part in select(tmp_path)] == [("", it) for it in BUILDS]


def test_the_digest_file_of_an_own_image_has_its_name_and_kind(tmp_path: Path) -> None:
    own = [replace(build, name="dags") for build in BUILDS]
    written = digests.write(tmp_path, pushed(build=own[0]))
    assert written.file == tmp_path / "dags-3.11-amd64.json"
    document = json.loads(written.file.read_text())
    assert (document["kind"], document["name"]) == ("prod", "dags")
    assert digests.read(tmp_path) == [written]
    with pytest.raises(UsageError, match=r"no digest of dags-3.11-arm64, .* --kind dags"):
        digests.select(digests.read(tmp_path), own, image=IMAGE, commit="", folder=tmp_path)
    document["name"] = 3
    written.file.write_text(json.dumps(document))
    with pytest.raises(UsageError, match="is not a digest file of this suite"):
        digests.read(tmp_path)
