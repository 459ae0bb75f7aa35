from __future__ import annotations

import base64
import secrets
from pathlib import Path

import pytest

from build_tasks import paths
from build_tasks.errors import UsageError
from build_tasks.inputs import ca_bundle


def certificate(size: int = 1200) -> str:
    body = base64.encodebytes(secrets.token_bytes(size)).decode()
    return f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n"


def test_a_bundle_that_fits_is_taken_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(f"text\n{certificate()}")
    assert ca_bundle.shrink(file) == file


def test_a_bundle_that_is_too_big_has_each_certificate_once(tmp_path: Path) -> None:
    different = [certificate() for _ in range(100)]
    file = tmp_path / "ca.pem"
    file.write_text(
        "".join(f"# text\n{one.replace(chr(10), chr(13) + chr(10))}" for one in different * 4)
    )
    assert file.stat().st_size > ca_bundle.LIMIT
    fits = ca_bundle.shrink(file)
    assert fits.is_relative_to(paths.cache_folder())
    assert fits.stat().st_size <= ca_bundle.LIMIT
    text = fits.read_text()
    assert text.count("BEGIN CERTIFICATE") == 100
    assert "# text" not in text
    for one in different:
        assert "".join(one.split()) in "".join(text.split())
    assert ca_bundle.shrink(file) == fits
    assert [one.name for one in fits.parent.iterdir()] == [fits.name]


def test_a_bundle_of_many_certificates_keeps_all(tmp_path: Path) -> None:
    different = [certificate() for _ in range(400)]
    file = tmp_path / "ca.pem"
    file.write_text("".join(different * 2))
    small = ca_bundle.shrink(file)
    assert not ca_bundle.fits(small)
    assert small.read_text().count("BEGIN CERTIFICATE") == 400
    assert [path.name for path in small.parent.iterdir()] == ["ca-bundle.pem"]
    assert {path.stat().st_mode & 0o777 for path in (small, small.parent)} == {0o644, 0o755}


def test_certificates_in_the_format_of_openssl_are_some(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(certificate().replace(" CERT", " TRUSTED CERT"))
    assert ca_bundle.shrink(file) == file


@pytest.mark.parametrize(
    "content",
    [
        b"x" * 600_000,
        b"",
        b"\x30\x82\x03\x5c",  # DER
        certificate()[:200].encode(),
        certificate().replace("CERTIFICATE", "PRIVATE KEY").encode(),
    ],
)
def test_a_bundle_without_a_certificate_is_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        ca_bundle.shrink(file)
    assert str(caught.value).startswith(f"CA bundle {file}: has no certificate")


def test_a_missing_bundle_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^CA bundle .*/no\.pem: cannot be read: No such file"):
        ca_bundle.shrink(tmp_path / "no.pem")
