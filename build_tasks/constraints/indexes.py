"""The Python package indexes: what uv and pip are told of them, here and in the steps of a build.

Both see the same indexes with the same credentials. uv here gets them in its environment. A step
gets two BuildKit secrets: variables of uv and pip, and the credentials as a netrc file.
"""

from __future__ import annotations

import netrc
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from build_tasks import paths, process
from build_tasks.config.parsing import without_login
from build_tasks.config.settings import UV_VARIABLES, Settings
from build_tasks.errors import AuthError, UsageError
from build_tasks.text.redaction import add_secret

#: Where steps have the folder of `index.find-links` and the two secrets.
STEP_FOLDER = "/run/wheelhouse"
STEP_NETRC = "/run/secrets/index-credentials"
#: Seconds for the program keyring, which may ask its user.
_KEYRING_TIMEOUT = 120.0
#: The only variables of uv that count on this machine: no other package comes of them.
_KEPT = ("UV_CACHE_DIR", "UV_CONCURRENT_", "UV_HTTP_", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS")
#: Words of a netrc file that uv and every pip read alike.
_NETRC_WORD = re.compile(r"[!#-\[\]-~][!-\[\]-~]*")


@dataclass(frozen=True)
class Source:
    """An index, or a page with links to packages.

    Args:
        name: its name, which variables with its credentials have.
        url: its address, without credentials.
        user: the user; empty if anybody can read it.
        password: the password; empty if it was not looked up.
        origin: the setting that names it.
    """

    name: str
    url: str
    user: str
    password: str = field(repr=False)
    origin: str

    @property
    def host(self) -> str:
        """The host, without a port."""
        return urlsplit(self.url).hostname or ""

    @property
    def private_url(self) -> str:
        """The address with the credentials."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@" if self.user else ""
        return self.url.replace("://", f"://{login}", 1)


@dataclass(frozen=True)
class Indexes:
    """Where packages come from.

    Args:
        default: the index in place of PyPI.
        extra: indexes that come before it.
        pages: pages with links.
        folder: the folder with packages.
        ca_bundle: the CA bundle, which steps have as a secret of its own.
        variables: other variables of uv.
        timeout: seconds until a connection fails; empty for the defaults of the steps.
    """

    default: Source | None
    extra: tuple[Source, ...]
    pages: tuple[Source, ...]
    folder: Path | None
    ca_bundle: Path | None
    variables: Mapping[str, str]
    timeout: str

    @property
    def sources(self) -> tuple[Source, ...]:
        """All that is read over the network."""
        return (*([self.default] if self.default else []), *self.extra, *self.pages)

    def environment(self) -> Mapping[str, str | None]:
        """Return the variables of uv on this machine, with credentials; None removes one."""
        others = [name for name in os.environ if name.startswith("UV_")]
        return {
            **{name: None for name in others if not name.startswith(_KEPT)},
            "UV_NO_CONFIG": "1",
            **({"SSL_CERT_FILE": str(self.ca_bundle)} if self.ca_bundle else {}),
            **self._variables(self.folder.as_uri() if self.folder else "", private=True),
        }

    def step_variables(self) -> str:
        """Return the variables of uv and pip in a step, as a shell reads them; empty for none."""
        table = self._variables(f"file://{STEP_FOLDER}" if self.folder else "", private=False)
        pip = {
            "PIP_INDEX_URL": self.default.url if self.default else "",
            "PIP_EXTRA_INDEX_URL": " ".join(source.url for source in self.extra),
            "PIP_FIND_LINKS": table.get("UV_FIND_LINKS", "").replace(",", " "),
            "PIP_NO_INDEX": table.get("UV_OFFLINE", ""),
            "PIP_DEFAULT_TIMEOUT": self.timeout,
            # uv takes an index without TLS; pip asks to be told.
            "PIP_TRUSTED_HOST": " ".join(
                urlsplit(source.url).netloc
                for source in self.sources
                if source.url.startswith("http:")
            ),
            "NETRC": STEP_NETRC if self.netrc() else "",
        }
        lines = (
            f"export {name}={shlex.quote(value)}\n"
            for name, value in {**table, **pip}.items()
            if value
        )
        return "".join(lines)

    def netrc(self) -> str:
        """Return the credentials in the format of netrc; empty if there are none.

        Raises:
            UsageError: the format cannot hold them.
        """
        entries: dict[str, Source] = {}
        for source in self.sources:
            if not source.user:
                continue
            other = entries.setdefault(source.host, source)
            if (other.user, other.password) != (source.user, source.password):
                raise UsageError(
                    f"{source.origin}: {source.url} and {other.url} have different credentials, "
                    "and uv and pip know one for each host: give both the same"
                )
            for word, noun in ((source.user, "user name"), (source.password, "password")):
                if word and not _NETRC_WORD.fullmatch(word):
                    raise UsageError(
                        f"{source.origin}: the {noun} for {source.url} has a space, a backslash, a "
                        "leading quote or a character beyond ASCII, which netrc files cannot hold"
                    )
        return "".join(
            f"machine {host} login {source.user} password {source.password}\n"
            for host, source in entries.items()
        )

    def _variables(self, folder: str, *, private: bool) -> dict[str, str]:
        def url(source: Source) -> str:
            return source.private_url if private else source.url

        table = {
            "UV_DEFAULT_INDEX": url(self.default) if self.default else "",
            "UV_INDEX": " ".join(map(url, self.extra)),
            "UV_FIND_LINKS": ",".join((*([folder] if folder else []), *map(url, self.pages))),
            "UV_HTTP_TIMEOUT": self.timeout,
            **self.variables,
        }
        if "UV_OFFLINE" in table:  # a folder without pages of an index: PyPI in uv's cache is out
            table["UV_DEFAULT_INDEX"] = folder
        return {name: value for name, value in table.items() if value}


def find(
    settings: Settings, *, ask: bool = True, environment: Mapping[str, str] = os.environ
) -> Indexes:
    """Return the indexes of the settings with their credentials.

    Args:
        settings: the effective settings.
        ask: run the program keyring, if the settings say so.
        environment: the environment variables.

    Raises:
        UsageError: a setting, a variable or the netrc file is wrong.
        AuthError: the keyring does not have a password.
    """
    folders = [item for item in settings.index_find_links if "://" not in item]
    pages = [item for item in settings.index_find_links if "://" in item]
    _check(settings, folders, pages)
    credentials = _Credentials(settings, ask, environment)
    default = [settings.index_default] if settings.index_default else []
    variables = {
        "UV_OFFLINE": "1" if settings.index_offline else "",
        "UV_INDEX_STRATEGY": _if_set(settings, "index.strategy"),
    }
    return Indexes(
        default=next(credentials.sources("index.default", default), None),
        extra=tuple(credentials.sources("index.extra", settings.index_extra)),
        pages=tuple(credentials.sources("index.find-links", pages)),
        folder=_folder(settings, folders[0]) if folders else None,
        ca_bundle=settings.ca_bundle_file,
        variables={name: value for name, value in variables.items() if value},
        timeout=_if_set(settings, "uv.timeout"),
    )


def options(settings: Settings) -> tuple[str, ...]:
    """Return the options of `uv pip` that the settings name, for all that it installs."""
    return tuple(word for name in settings.uv_no_binary for word in ("--no-binary", name))


def _if_set(settings: Settings, key: str) -> str:
    """Return the value of a setting as text; empty if it is not set."""
    return "" if settings.origins[key] == "default" else str(settings.values[key])


def _check(settings: Settings, folders: Iterable[str], pages: Iterable[str]) -> None:
    """Raise UsageError for settings that exclude each other."""
    origin = settings.origins["index.find-links"]
    if len([*folders]) > 1:
        raise UsageError(f"{origin}: expected at most one folder, got {', '.join(folders)}")
    if not settings.index_offline:
        return
    offline = settings.origins["index.offline"]
    if not [*folders]:
        raise UsageError(f"{offline}: needs a folder with packages: set index.find-links")
    network = {
        "index.default": settings.index_default,
        "index.extra": settings.index_extra,
        "index.find-links": [*pages],
    }
    for key, value in network.items():
        if value:
            raise UsageError(f"{offline}: excludes {settings.origins[key]}, which needs a network")


def _folder(settings: Settings, text: str) -> Path:
    """Return the folder of packages, or raise UsageError."""
    folder = settings.path("index.find-links", text)
    origin = settings.origins["index.find-links"]
    if not folder.is_dir():
        raise UsageError(f"{origin}: no such folder: {text}")
    if not any(file.name.endswith((".whl", ".tar.gz", ".zip")) for file in folder.iterdir()):
        raise UsageError(f"{origin}: {text} has no package (a .whl or .tar.gz file)")
    return folder


class _Credentials:
    """Finds the credentials of indexes: in variables, in a netrc file, and in the keyring."""

    def __init__(self, settings: Settings, ask: bool, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._ask = ask
        self._environment = environment
        self._urls: dict[str, str] = {}  # by the variables with their credentials

    def sources(self, key: str, values: Iterable[str]) -> Iterator[Source]:
        """Yield the sources of a setting."""
        origin = self._settings.origins[key]
        with_login = self._environment.get(origin, "").split() if origin in UV_VARIABLES else []
        for text in with_login or values:
            name, url = split(text)
            plain, parts = without_login(url), urlsplit(url)
            name = name or ("default" if key == "index.default" else "")
            if parts.username and not parts.password:  # it may be a token, which is not shown
                raise UsageError(f"{origin}: {plain}: names a user and no password: name both")
            if parts.username:
                pair = (unquote(parts.username), unquote(parts.password or ""))
            else:
                pair = self._of_name(name, plain, origin)
            if pair[1]:
                add_secret(pair[1])
            yield Source(name, plain, *pair, origin)

    def _of_name(self, name: str, url: str, origin: str) -> tuple[str, str]:
        """Return the user and the password for an index without any in its address."""
        prefix = f"UV_INDEX_{re.sub('[^A-Z0-9]', '_', name.upper())}_"
        if name and (other := self._urls.setdefault(prefix, url)) != url:
            raise UsageError(
                f"{origin}: {url} and {other} would both get the credentials of {prefix}*: give "
                "them different names"
            )
        user, password = (
            self._environment.get(f"{prefix}{suffix}", "") if name else ""
            for suffix in ("USERNAME", "PASSWORD")
        )
        if password and not user:
            raise UsageError(f"{prefix}PASSWORD is set, and {prefix}USERNAME is not: set both")
        if password:
            return user, password
        login, known = self._of_netrc(url)
        if known and user in {"", login}:
            return login, known
        if not user:
            return "", ""
        if self._settings.index_keyring == "disabled":
            raise UsageError(
                f"{origin}: no password of {user} for {url}: set {prefix}PASSWORD, or add it to "
                ".netrc, or set index.keyring"
            )
        return user, self._of_keyring(url, user, origin) if self._ask else ""

    def _of_netrc(self, url: str) -> tuple[str, str]:
        named = self._environment.get("NETRC")
        file = Path(named) if named else paths.expand_user("~/.netrc")
        if named and not file.is_file():
            raise UsageError(f"NETRC: no such file: {named}")
        if not file.is_file():
            return "", ""
        try:
            found = netrc.netrc(str(file)).authenticators(urlsplit(url).hostname or "")
        except netrc.NetrcParseError as error:  # its message may quote a password
            raise UsageError(f"{file}: line {error.lineno}: is not in netrc's format") from None
        except (OSError, UnicodeDecodeError):
            raise UsageError(f"{file}: cannot be read") from None
        return (found[0], found[2] or "") if found else ("", "")

    def _of_keyring(self, url: str, user: str, origin: str) -> str:
        """Return the password that the keyring has for an address, else for its host."""
        for service in (url, urlsplit(url).netloc):
            command = ("keyring", "get", service, user)
            completed = process.run(command, timeout=_KEYRING_TIMEOUT, check=False)
            password = completed.stdout.rstrip("\r\n")
            if not completed.returncode and password:
                return password
        raise AuthError(f"{origin}: the keyring has no password of {user} for {url}: keyring set")


def split(text: str) -> tuple[str, str]:
    """Return the name, which may be empty, and the address of an index."""
    before, mark, after = text.partition("=")
    return (before, after) if mark and "://" not in before else ("", text)
