"""Certificates for tests of TLS: one that is good, one of another name, and one that has expired."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def certificate(name: str, *, since: datetime, until: datetime) -> tuple[bytes, bytes]:
    """A certificate that signs itself, and its key, both as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return made.public_bytes(serialization.Encoding.PEM), secret


def certificates_in(folder: Path) -> dict[str, Path]:
    """Certificates of this machine, of another name, and one that has expired, each with its key in one file."""
    now, day = datetime.now(UTC), timedelta(days=1)
    found = {}
    for name, host, since, until in (
        ("good", "localhost", now - day, now + day),
        ("other", "elsewhere.example", now - day, now + day),
        ("expired", "localhost", now - 2 * day, now - day),
    ):
        found[name] = folder / f"{name}.pem"
        found[name].write_bytes(b"".join(certificate(host, since=since, until=until)))
    return found
