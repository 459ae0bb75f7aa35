"""Make a CA bundle as small as it can be: BuildKit's secrets have at most 500 KiB."""

from __future__ import annotations

import re
from pathlib import Path

from build_tasks import paths
from build_tasks.errors import UsageError

#: Bytes of one secret (BuildKit's session/secrets/secretsprovider, MaxSecretSize).
LIMIT = 500 * 1024
#: The folder in the cache folder with bundles, each alone in a folder named by its content.
HOME = "ca-bundles"
#: The name of a bundle in its folder.
NAME = "ca-bundle.pem"
_CERTIFICATE = re.compile(
    rb"-----BEGIN (?:TRUSTED )?CERTIFICATE-----\s[A-Za-z0-9+/=\s]+"
    rb"-----END (?:TRUSTED )?CERTIFICATE-----"
)


def fits(bundle: Path) -> bool:
    """Return whether BuildKit takes a bundle as a secret."""
    return bundle.stat().st_size <= LIMIT


def shrink(bundle: Path) -> Path:
    """Return the bundle if it fits, else a copy with each certificate once and no text.

    The copy is alone in its folder, which can be a build context, because it may still be too large
    for a secret.

    Raises:
        UsageError: the bundle cannot be read, or has no certificate.
    """
    try:
        content = bundle.read_bytes()
    except OSError as error:
        raise UsageError(f"CA bundle {bundle}: cannot be read: {error.strerror}") from None
    if not _CERTIFICATE.search(content):
        raise UsageError(f"CA bundle {bundle}: has no certificate (-----BEGIN CERTIFICATE-----)")
    if len(content) <= LIMIT:
        return bundle
    certificates = dict.fromkeys(_CERTIFICATE.findall(content.replace(b"\r", b"")))
    text = b"\n".join((*certificates, b""))
    return paths.keep(HOME, {NAME: text}) / NAME
