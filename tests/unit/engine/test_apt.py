from __future__ import annotations

from pathlib import Path

import pytest

from build_tasks import process
from build_tasks.engine import apt
from build_tasks.errors import CommandError
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
    """Stands in for apt: its index of unstable is late until the date is not asked for."""

    def __init__(self, folder: Path, complaint: str = "") -> None:
        self.folder = folder
        self.complaint = complaint
        self.commands: list[Command] = []

    def __call__(self, command: Command, **_: object) -> Completed:
        self.commands.append(command)
        if command == ("apt-config", "dump"):
            return Completed(command, 0, MACHINE, "")
        late = "check-valid-until=no" not in (self.folder / "etc/sources.list").read_text()
        if "update" in command and self.complaint:
            return Completed(command, 100, "", self.complaint)
        if "update" in command and late:
            text = "E: Release file for http://m/dists/unstable/InRelease is expired"
            return Completed(command, 100, "", f"{text} (invalid since 3d 2h). Updates for\n")
        if "download" in command:
            (self.folder / "archives/b.deb").touch()
            (self.folder / "archives/a.deb").touch()
        return Completed(command, 0, "", "")


def test_a_late_index_is_taken_with_a_warning_and_no_other_date_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = Apt(tmp_path)
    monkeypatch.setattr(process, "run", ran)
    told: list[str] = []
    apt.update(tmp_path, "http://m", ["bookworm", "unstable"], told.append)
    files = apt.download(tmp_path, ["x/unstable"])
    assert [file.name for file in files] == ["a.deb", "b.deb"]
    assert told == [
        "warning: the mirror's index of unstable is out of date (since 3d 2h); "
        "its signature is checked"
    ]
    assert (tmp_path / "etc/sources.list").read_text() == (
        f"deb [signed-by={apt.KEYRING}] http://m bookworm main\n"
        f"deb [check-valid-until=no signed-by={apt.KEYRING}] http://m unstable main\n"
    )


def test_of_the_machines_configuration_only_the_way_to_a_mirror_is_taken(
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


def test_an_index_that_is_not_signed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complaint = "E: The repository 'http://m unstable InRelease' is not signed.\n"
    ran = Apt(tmp_path, complaint)
    monkeypatch.setattr(process, "run", ran)
    with pytest.raises(CommandError, match="cannot trust the package lists: E: The repository"):
        apt.update(tmp_path, "http://m", ["unstable"], print)
    assert not [command for command in ran.commands if "download" in command]
