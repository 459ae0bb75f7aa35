"""The folder with sources of Debian packages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from build_tasks.errors import UsageError
from build_tasks.inputs import apt_sources
from build_tasks.inputs.apt_sources import AptSettings

ARMORED = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQGN\n-----END PGP PUBLIC KEY BLOCK-----\n"
BINARY = bytes([0x99, 1, 0x8D, 4])
SOURCE = "Types: deb\nURIs: https://HOST/debian\nSuites: bookworm\nComponents: main\n"


def given(*files: Path, mirror: str = "", security: str = "", **environment: str) -> AptSettings:
    return AptSettings(mirror, security, files, environment, "here")


def prepared(*files: Path, mirror: str = "", **environment: str) -> Path | None:
    return apt_sources.folder(given(*files, mirror=mirror, **environment))


def sources(folder: Path, text: str, name: str = "team.sources") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_nothing_is_made_of_no_settings() -> None:
    assert apt_sources.folder(given()) is None
    assert apt_sources.script(given()) is None


def test_sources_and_keys_are_in_a_folder_named_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "armored.gpg").write_bytes(ARMORED.replace(b"\n", b"\r\n"))
    (tmp_path / "binary.asc").write_bytes(BINARY)
    text = f"# ours\n{SOURCE}Signed-By: armored.gpg\n\n\n{SOURCE}signed-by: binary.asc\n"
    folder = prepared(sources(tmp_path, text))
    assert folder
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    keys = ("keys/0-team-0.asc", "keys/0-team-1.gpg")
    assert files == {"sources/0-team.sources", *keys}
    assert [(folder / key).read_bytes() for key in keys] == [ARMORED, BINARY]
    written = apt_sources.parse((folder / "sources/0-team.sources").read_text())
    assert [stanza["Signed-By"] for stanza in written] == [f"/run/apt/{key}" for key in keys]
    assert [stanza["Suites"] for stanza in written] == ["bookworm", "bookworm"]
    assert prepared(sources(tmp_path, text)) == folder
    (tmp_path / "binary.asc").write_bytes(BINARY + b"2")
    assert prepared(sources(tmp_path, text)) != folder


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    (tmp_path / "key.gpg").write_bytes(BINARY)
    (tmp_path / "key.gpg").chmod(0o600)
    folder = prepared(sources(tmp_path, f"{SOURCE}Signed-By: key.gpg\n"))
    assert folder
    assert {path.stat().st_mode & 0o777 for path in (folder, *folder.rglob("*"))} == {0o755, 0o644}


def test_a_key_may_be_in_the_file_itself(tmp_path: Path) -> None:
    lines = ARMORED.decode().splitlines()
    inline = "".join(f" {line or '.'}\n" for line in lines)
    folder = prepared(sources(tmp_path, f"{SOURCE}Signed-By:\n{inline}"))
    assert folder
    assert (folder / "keys/0-team-0.asc").read_bytes() == ARMORED


def test_a_file_has_a_name_that_apt_does_not_ignore(tmp_path: Path) -> None:
    (tmp_path / "key.gpg").write_bytes(BINARY)
    text = f"{SOURCE}Signed-By: key.gpg\n"
    folder = prepared(sources(tmp_path, text, "my team+é.sources"))
    assert folder
    names = {file.name for file in folder.rglob("*") if file.is_file()}
    assert names == {"0-my_team__.sources", "0-my_team__-0.gpg"}


def test_debians_own_key_is_in_every_image(tmp_path: Path) -> None:
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    folder = prepared(sources(tmp_path, f"{SOURCE}Signed-By: {key}\n"))
    assert folder
    assert f"Signed-By: {key}\n" in (folder / "sources/0-team.sources").read_text()
    assert not (folder / "keys").exists()


def test_a_mirror_is_in_a_script_and_not_in_the_context() -> None:
    script = apt_sources.script(given(mirror="https://h/debian/"))
    assert script
    assert script.read_text().splitlines()[:2] == [
        "apt_mirror=https://h/debian/",
        "apt_security_mirror=https://h/debian-security",
    ]
    script = apt_sources.script(given(mirror="https://h/debian", security="none"))
    assert script
    assert "apt_security_mirror=none\n" in script.read_text()
    assert prepared(mirror="https://h/debian") is None


def test_what_decides_about_packages_is_in_the_context_and_needs_the_script() -> None:
    for changes in ({"mirror": "none"}, {"ACCEPT_EULA": "it's"}):
        assert apt_sources.script(given(**changes))
    folder = prepared(mirror="none", ACCEPT_EULA="it's")
    assert folder
    assert (folder / "mirror").read_text() == "none"
    assert (folder / "environment").read_text() == """export ACCEPT_EULA='it'"'"'s'\n"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no source"),
        ("deb https://h bookworm main\n", "line 1: expected a field like `URIs: https://HOST/deb"),
        ("Types: deb\nSuites: x\n", "a source: has no field URIs"),
        (SOURCE, "https://HOST/debian: has no field Signed-By, the file of its key"),
        (f"{SOURCE}Trusted: yes\n", "https://HOST/debian: Trusted: yes would install packages "),
        (f"{SOURCE}Trusted:\n yes\n", "https://HOST/debian: Trusted: yes would install packages "),
        (
            f"{SOURCE}allow-insecure: yes\n",
            "https://HOST/debian: Allow-Insecure: yes would install",
        ),
        (
            f"{SOURCE}Signed-By: none.gpg\n",
            "Signed-By: none.gpg: expected the file of a key, relat",
        ),
        (f"{SOURCE}Signed-By: /etc/key.gpg\n", "Signed-By: /etc/key.gpg: expected the file of a k"),
        (f"{SOURCE}Signed-By: junk.gpg\n", "Signed-By: junk.gpg: is no public key of OpenPGP, as "),
        (f"{SOURCE}Signed-By: empty.gpg\n", "Signed-By: empty.gpg: is no public key of OpenPGP, "),
        (f"{SOURCE}Signed-By: own.asc\n", "Signed-By: own.asc: is a private key: export the publi"),
        (f"{SOURCE}Signed-By: own.gpg\n", "Signed-By: own.gpg: is no public key of OpenPGP"),
        (SOURCE.replace("HOST", "me:canary1@h"), "https://***@h/debian: holds a password, which t"),
        (SOURCE.replace("HOST", "me:a/canary1@h"), "https://***@h/debian: holds a password, which"),
        (
            f"{SOURCE}X-Proxy: http://me:canary1@p\n",
            "https://HOST/debian: X-Proxy contains a secret: leave the field out",
        ),
        (
            f"{SOURCE}Signed-By: a.gpg\n b.gpg\n",
            "Signed-By: a.gpg b.gpg: expected the file of a key, relative to team.sources",
        ),
    ],
)
def test_a_source_that_cannot_be_used_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "junk.gpg").write_bytes(b"KBXf")
    (tmp_path / "empty.gpg").touch()
    (tmp_path / "own.asc").write_bytes(b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n")
    (tmp_path / "own.gpg").write_bytes(bytes([0x95, 3]))
    with pytest.raises(UsageError, match=re.escape(f"here: team.sources: {message}")) as caught:
        prepared(sources(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert "canary1" not in str(caught.value)


def test_only_files_in_the_format_of_deb822_are_sources(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^here: team.list: expected a file NAME.sources in apt"):
        prepared(sources(tmp_path, SOURCE, "team.list"))
    with pytest.raises(UsageError, match=r"none.sources: cannot be read: No such file"):
        prepared(tmp_path / "none.sources")
