from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path

import pytest

from build_tasks import process
from build_tasks.engine import apt
from build_tasks.errors import CommandError, DiskError, EngineError, NetworkError
from build_tasks.process import Command, Completed

MACHINE = """\
APT::Get::AllowUnauthenticated "true";
Acquire::AllowInsecureRepositories "true";
Acquire::Check-Valid-Until "false";
Acquire::https::Verify-Peer "false";
Acquire::https::mirror.example::Verify-Host "false";
Acquire::gpgv::Options:: "--ignore-time-conflict";
Acquire::http::Proxy "http://proxy:3128";
Acquire::http::Proxy::mirror.example "DIRECT";
Acquire::https::mirror.example::CAInfo "/etc/ssl/own.pem";
Acquire::http::Proxy "http://x"; Acquire::AllowInsecureRepositories "1";
Acquire::ForceIPv4 "true";
"""


class Apt:
    """A fake apt whose index of unstable is expired, unless its date is not checked."""

    def __init__(self, folder: Path, complaint: str = "") -> None:
        self.folder = folder
        self.complaint = complaint
        self.commands: list[Command] = []

    def __call__(self, command: Command, **_: object) -> Completed:
        self.commands.append(command)
        if command == ("apt-config", "dump"):
            return Completed(command, 0, MACHINE, "")
        expired = "check-valid-until=no" not in (self.folder / "etc/sources.list").read_text()
        if "update" in command and self.complaint:
            return Completed(command, 100, "", self.complaint)
        if "update" in command and expired:
            text = "E: Release file for http://m/dists/unstable/InRelease is expired"
            return Completed(command, 100, "", f"{text} (invalid since 3d 2h). Updates for\n")
        if "download" in command:
            (self.folder / "archives/b.deb").touch()
            (self.folder / "archives/a.deb").touch()
        return Completed(command, 0, "", "")


def test_an_expired_index_is_used_with_a_warning_and_all_other_dates_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Apt(tmp_path)
    monkeypatch.setattr(process, "run", fake)
    messages: list[str] = []
    apt.update(tmp_path, "http://m", ["bookworm", "unstable"], messages.append)
    files = apt.download(tmp_path, ["x/unstable"])
    assert [file.name for file in files] == ["a.deb", "b.deb"]
    assert messages == [
        "warning: the mirror's index of unstable is out of date (since 3d 2h); "
        "its signature is checked"
    ]
    assert (tmp_path / "etc/sources.list").read_text() == (
        f"deb [signed-by={apt.KEYRING}] http://m bookworm main\n"
        f"deb [check-valid-until=no signed-by={apt.KEYRING}] http://m unstable main\n"
    )


def test_only_mirror_settings_are_taken_from_the_machines_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "run", Apt(tmp_path))
    lines = apt._configuration(tmp_path).splitlines()
    assert 'Dir::Etc::parts "/dev/null";' in lines
    assert [line for line in lines if line in MACHINE.splitlines()] == [
        'Acquire::http::Proxy "http://proxy:3128";',
        'Acquire::http::Proxy::mirror.example "DIRECT";',
        'Acquire::https::mirror.example::CAInfo "/etc/ssl/own.pem";',
        'Acquire::ForceIPv4 "true";',
    ]


def test_an_unsigned_index_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complaint = "E: The repository 'http://m unstable InRelease' is not signed.\n"
    fake = Apt(tmp_path, complaint)
    monkeypatch.setattr(process, "run", fake)
    with pytest.raises(CommandError, match="cannot trust the package lists: E: The repository"):
        apt.update(tmp_path, "http://m", ["unstable"], print)
    assert not [command for command in fake.commands if "download" in command]


@pytest.mark.parametrize(
    "release", [{"ID": "fedora", "PRETTY_NAME": "Fedora 43"}, {"ID": "debian"}, OSError()]
)
def test_a_system_that_is_no_debian_is_named(
    monkeypatch: pytest.MonkeyPatch, release: object
) -> None:
    def os_release() -> object:
        if isinstance(release, OSError):
            raise release
        return release

    monkeypatch.setattr(platform, "freedesktop_os_release", os_release)
    with pytest.raises(EngineError, match=r"made of Debian's packages, and this is (Fedora|this)"):
        apt.codename()


def test_the_mirror_is_the_machines_own(
    monkeypatch: pytest.MonkeyPatch, programs: Callable[..., object]
) -> None:
    release = {"ID": "debian", "VERSION_CODENAME": "bookworm"}
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: release)
    programs(apt_get=(0, "nodistro http://x/\nbookworm http://mirror/debian/\n", ""))
    assert apt.mirror() == "http://mirror/debian/"
    programs(apt_get=(0, "nodistro http://x/\n", ""))
    with pytest.raises(EngineError, match="apt has no source for bookworm"):
        apt.mirror()


@pytest.mark.parametrize(
    ("stderr", "kind"),
    [
        ("E: You don't have enough free space in /x\n", DiskError),
        ("E: Failed to fetch http://x  Temporary failure resolving\n", NetworkError),
        ("E: Unable to locate package x\n", CommandError),
        ("W: GPG error: x NO_PUBKEY 1\nE: Failed to fetch http://x\n", CommandError),
    ],
)
def test_failures_of_apt_are_classified(stderr: str, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="the packages: E: ") as caught:
        apt.check(Completed((), 100, "", f"W: first\n{stderr}"), "the packages")
    assert "\n" not in str(caught.value)
