"""Fit a CA bundle into a BuildKit secret, which has at most 500 KiB."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from build_tasks import paths
from build_tasks.errors import UsageError

#: Bytes of one secret (BuildKit's session/secrets/secretsprovider, MaxSecretSize).
LIMIT = 500 * 1024
_CERTIFICATE = re.compile(
    rb"-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----"
)


def fitting(bundle: Path) -> Path:
    """Return the bundle, or where it is too large a copy with each certificate once and no text.

    Raises:
        UsageError: the bundle cannot be read, has no certificate, or has too many.
    """
    try:
        if bundle.stat().st_size <= LIMIT:
            return bundle
        content = bundle.read_bytes()
    except OSError as error:
        raise UsageError(f"CA bundle {bundle}: cannot be read: {error.strerror}") from None
    certificates = dict.fromkeys(_CERTIFICATE.findall(content.replace(b"\r", b"")))
    if not certificates:
        raise UsageError(f"CA bundle {bundle}: has no certificate (-----BEGIN CERTIFICATE-----)")
    text = b"\n".join((*certificates, b""))
    if len(text) > LIMIT:
        raise UsageError(
            f"CA bundle {bundle}: its {len(certificates)} different certificates have "
            f"{len(text) // 1024} KiB, and BuildKit takes at most {LIMIT // 1024}: name a smaller "
            "file with --ca-bundle or SSL_CERT_FILE"
        )
    file = paths.cache_folder() / "ca-bundles" / f"{hashlib.sha256(text).hexdigest()[:16]}.pem"
    if not file.exists():
        paths.write(file, text.decode("ascii"))
    return file
