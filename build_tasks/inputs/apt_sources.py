"""The sources of Debian packages of a build, for the steps that run apt-get.

Further sources, their keys and variables are a build context, because they decide what is
installed. A mirror does not: it is in a script that is a secret, so that another one repeats no
step. The image keeps the sources of its base: nothing of these is written below /etc.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from build_tasks import paths
from build_tasks.errors import UsageError
from build_tasks.text.redaction import redact

#: The named build context, and the stage of the Dockerfiles that it replaces.
CONTEXT = "apt"
#: The setting for no mirror, so that only further sources count.
NONE = "none"
#: Where the steps mount the context.
_MOUNTED = "/run/apt"
_SETUP = Path(__file__).with_name("apt_setup.sh")
#: The key of Debian itself, which every base image has.
_DEBIAN = re.compile(r"/usr/share/keyrings/debian-archive-[a-z-]+\.(?:gpg|pgp)")
_REQUIRED = ("Types", "URIs", "Suites", "Signed-By")
#: Fields with which apt would install what nobody signed.
_INSECURE = ("Trusted", "Allow-Insecure", "Allow-Weak", "Allow-Downgrade-To-Insecure")
#: These fields as apt's manual writes them, by their names in lower case: names have no case.
_FIELDS = {name.lower(): name for name in (*_REQUIRED, *_INSECURE)}
#: The type of packet that a public key begins with (RFC 9580, section 5).
_PUBLIC_KEY = 6
_ARMOR = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"

#: Fields of one source by their names.
Stanza = dict[str, str]


@dataclass(frozen=True)
class AptSettings:
    """What the settings say about Debian packages.

    Args:
        mirror: a mirror of Debian, `none` for no source of Debian, or empty for the base image's.
        security: a mirror of the security updates, or `none`.
        sources: files of further sources, which each have a key.
        environment: variables for installing packages.
        place: where the settings name the files.
    """

    mirror: str
    security: str
    sources: tuple[Path, ...]
    environment: Mapping[str, str]
    place: str


def script(settings: AptSettings) -> Path | None:
    """Return the script that sets the sources of a step, None if the settings say nothing."""
    if not (settings.mirror or settings.security or settings.sources or settings.environment):
        return None
    security = settings.security or f"{settings.mirror.rstrip('/')}-security"
    text = (
        f"apt_mirror={shlex.quote(settings.mirror)}\napt_security_mirror={shlex.quote(security)}\n"
        f"{_SETUP.read_text(encoding='utf-8')}"
    )
    return paths.keep(CONTEXT, {_SETUP.name: text.encode()}) / _SETUP.name


def folder(settings: AptSettings) -> Path | None:
    """Return the folder for the build context, named by its content; None if nothing is in it.

    Raises:
        UsageError: a file of sources or a key cannot be read, or is not usable.
    """
    files: dict[str, bytes] = {}
    if settings.environment:
        lines = [f"export {name}={shlex.quote(v)}\n" for name, v in settings.environment.items()]
        files["environment"] = "".join(lines).encode()
    if settings.mirror == NONE:
        files["mirror"] = NONE.encode()  # other packages than those of Debian
    for number, file in enumerate(settings.sources):
        # apt ignores files whose names have other characters.
        stem = re.sub("[^A-Za-z0-9_.-]", "_", file.stem)
        files |= _read_sources(file, f"{number}-{stem}", settings.place)
    return paths.keep(CONTEXT, files) if files else None


def _read_sources(file: Path, name: str, place: str) -> dict[str, bytes]:
    """Return a file of sources, and the keys that it names, by their paths in the folder."""
    try:
        text = paths.read_text(file)
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None
    place = f"{place}: {file.name}"
    if file.suffix != ".sources":
        raise UsageError(f"{place}: expected a file NAME.sources in apt's deb822 format")
    try:
        stanzas = parse(text)
    except ValueError as error:
        raise UsageError(f"{place}: {error}") from None
    if not stanzas:
        raise UsageError(f"{place}: has no source")
    files: dict[str, bytes] = {}
    for number, stanza in enumerate(stanzas):
        _check(stanza, place)
        if _DEBIAN.fullmatch(stanza["Signed-By"]):
            continue
        key, suffix = _key(stanza["Signed-By"], file, place)
        path = f"keys/{name}-{number}.{suffix}"
        files[path] = key
        stanza["Signed-By"] = f"{_MOUNTED}/{path}"
    text = "\n".join("".join(f"{k}: {v}\n" for k, v in stanza.items()) for stanza in stanzas)
    return {f"sources/{name}.sources": text.encode(), **files}


def parse(text: str) -> list[Stanza]:
    """Return the sources in a file in apt's deb822 format (sources.list(5)).

    Raises:
        ValueError: a line is neither a field nor continues one.
    """
    stanzas: list[Stanza] = [{}]
    name = ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            continue
        field = re.fullmatch(r"([A-Za-z][A-Za-z0-9-]*):[ \t]*(.*?)[ \t]*", line)
        if not line.strip():
            name = ""
            if stanzas[-1]:
                stanzas.append({})
        elif field:
            name = _FIELDS.get(field[1].lower(), field[1])
            stanzas[-1][name] = field[2]
        elif name and line[0] in " \t":
            stanzas[-1][name] += f"\n{line.rstrip()}"
        else:
            raise ValueError(f"line {number}: expected a field like `URIs: https://HOST/debian`")
    return [stanza for stanza in stanzas if stanza]


def _check(stanza: Stanza, place: str) -> None:
    """Raise UsageError for a source that lacks a field, is not signed, or has credentials."""
    source = " ".join(stanza.get("URIs", "a source").split())
    shown = redact(source)
    if shown != source or re.search(r"://[^/\s]*:[^/\s]*@", source):
        raise UsageError(
            f"{place}: {re.sub('//[^/ ]*@', '//***@', shown)}: holds a password, which the builder "
            "would keep: use the secret apt-auth (docs/apt.md)"
        )
    for field, value in stanza.items():
        if field != "Signed-By" and redact(value) != value:
            raise UsageError(f"{place}: {source}: {field} contains a secret: leave the field out")
    for field in _INSECURE:
        if stanza.get(field, "no").lower() not in {"no", "false", "without", "off", "0"}:
            raise UsageError(
                f"{place}: {source}: {field}: {stanza[field].strip()} would install packages that "
                "nobody signed: name the key of the source with Signed-By"
            )
    for field in _REQUIRED:
        if not stanza.get(field):
            hint = ", the file of its key" if field == "Signed-By" else ""
            raise UsageError(f"{place}: {source}: has no field {field}{hint}")


def _key(value: str, file: Path, place: str) -> tuple[bytes, str]:
    """Return a public key, and the suffix that apt expects of its file."""
    if value.startswith("\n"):  # in the file of sources itself
        lines = ("" if line.strip() == "." else line.strip() for line in value.splitlines())
        key, place = "\n".join((*lines, "")).strip().encode() + b"\n", f"{place}: Signed-By"
    else:
        place = f"{place}: Signed-By: {' '.join(value.split())}"
        path = file.parent / value
        if Path(value).is_absolute() or not path.is_file():
            raise UsageError(f"{place}: expected the file of a key, relative to {file.name}")
        try:
            key = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{place}: cannot be read: {error.strerror}") from None
    if b"PRIVATE KEY" in key:
        raise UsageError(f"{place}: is a private key: export the public one (gpg --export)")
    if key.lstrip().startswith(_ARMOR):
        return key.replace(b"\r", b""), "asc"
    if _is_public_key(key):
        return key, "gpg"
    raise UsageError(f"{place}: is no public key of OpenPGP, as `gpg --export` writes it")


def _is_public_key(data: bytes) -> bool:
    """Return whether data begins with the packet of a public key (RFC 9580, section 4.2)."""
    first = data[0] if data else 0
    tag = first & 0x3F if first & 0x40 else (first & 0x3F) >> 2
    return bool(first & 0x80) and tag == _PUBLIC_KEY
