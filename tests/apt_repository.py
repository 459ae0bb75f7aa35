"""A signed repository of Debian packages, made with apt-ftparchive and gpg, and its web server."""

from __future__ import annotations

import base64
import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from suite import Suite

#: A step of the Dockerfiles that runs apt-get, as a regular expression for lines.
STEP = r"^RUN (?:.*\\\n)*.*<<EOF\n# install Debian (?:.*\n)*?EOF\n"
#: Makes the repository in /repository of a container; its package asks for a licence.
_SCRIPT = r"""
set -eu
export DEBIAN_FRONTEND=noninteractive GNUPGHOME=/tmp/gnupg
cd /repository
mkdir -p pool/partial "${GNUPGHOME}" /tmp/package/DEBIAN /tmp/package/usr/share/hello-team
chmod 700 "${GNUPGHOME}"
apt-get -o Acquire::Retries=7 -q update
[ -z "$*" ] || apt-get -o Acquire::Retries=7 -o Dir::Cache::archives=/repository/pool -q install \
    --yes --no-install-recommends --download-only "$@"
apt-get -o Acquire::Retries=7 -q install --yes --no-install-recommends apt-utils gpg gpg-agent
cat > /tmp/package/DEBIAN/control <<EOF
Package: hello-team
Version: 1.0
Architecture: all
Maintainer: Team <team@example.com>
Description: a package of a team
EOF
cat > /tmp/package/DEBIAN/preinst <<'EOF'
#!/bin/sh
[ "${ACCEPT_EULA}" = Y ] || { echo "the licence was not accepted" >&2; exit 1; }
EOF
chmod 755 /tmp/package/DEBIAN/preinst
echo hello > /tmp/package/usr/share/hello-team/hello
dpkg-deb --build /tmp/package pool/hello-team_1.0_all.deb
rm -r pool/partial
apt-ftparchive packages pool > Packages
apt-ftparchive -o APT::FTPArchive::Release::Suite=team release . > /tmp/Release
mv /tmp/Release Release
gpg --batch --passphrase '' --quick-generate-key team@example.com rsa3072 sign never
gpg --batch --clearsign --output InRelease Release
gpg --armor --export > team.asc
chmod --recursive a+rX .
"""


@dataclass(frozen=True)
class Repository:
    """A repository that is served, and the folder with its files and its key."""

    url: str
    folder: Path

    @property
    def source(self) -> str:
        """The source in apt's format; the key is beside it."""
        return f"Types: deb\nURIs: {self.url}\nSuites: ./\nSigned-By: team.asc\n"


def make(suite: Suite, base: str, folder: Path, packages: Sequence[str] = ()) -> None:
    """Make a repository of one package, and of others with all that they need beside the base."""
    folder.mkdir()
    volume = f"{folder}:/repository"
    suite.engine("run", "--rm", "--volume", volume, base, "sh", "-c", _SCRIPT, "sh", *packages)


@contextlib.contextmanager
def serving(folder: Path, address: str, login: str = "") -> Iterator[Repository]:
    """Serve a repository at an address of this machine, to those who have the login."""
    handler = partial(_Handler, login, directory=str(folder))
    with ThreadingHTTPServer((address, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Repository(f"http://{address}:{server.server_port}", folder)
        finally:
            server.shutdown()
            thread.join()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, login: str, *arguments: object, directory: str) -> None:
        self._login = login
        super().__init__(*arguments, directory=directory)  # type: ignore[arg-type]  # as the server calls it

    def do_GET(self) -> None:
        expected = f"Basic {base64.b64encode(self._login.encode()).decode()}"
        if self._login and self.headers.get("Authorization") != expected:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="packages"')
            self.end_headers()
            return
        super().do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""
