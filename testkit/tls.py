"""A certificate authority for tests, and server certificates that it signs."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate of a server or a client, and its private key, both PEM."""

    cert_file: Path
    key_file: Path

    def server_context(self) -> ssl.SSLContext:
        """Settings of a server with this certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.cert_file, self.key_file)
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateAuthority:
    """Signs certificates that a client with ``ca_file`` trusts.

    ``ca_file`` is the only file of its directory, which can be skopeo's ``--src-cert-dir``.
    """

    directory: Path
    ca_file: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, directory: Path) -> CertificateAuthority:
        """Create an authority with its files in ``directory``, which is made if it is missing."""
        directory.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self_signed(key, "test authority")
        ca_file = directory / "ca.crt"
        ca_file.write_bytes(certificate.public_bytes(Encoding.PEM))
        return cls(directory=directory, ca_file=ca_file, certificate=certificate, key=key)

    def issue(
        self, hosts: Sequence[str] = ("127.0.0.1", "localhost"), *, expired: bool = False, is_client: bool = False
    ) -> Certificate:
        """A server certificate for ``hosts`` (names or addresses), valid now or, if ``expired``, until yesterday.

        With ``is_client`` it is the certificate of a client.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(hosts[0], self.certificate.subject, key.public_key(), expired=expired)
        builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if is_client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
        certificate = _sign(builder, key.public_key(), self.key)
        stem = f"{'client' if is_client else 'server'}-{certificate.serial_number:x}"
        folder = self.directory / "servers"
        folder.mkdir(exist_ok=True)
        files = Certificate(cert_file=folder / f"{stem}.crt", key_file=folder / f"{stem}.key")
        files.cert_file.write_bytes(certificate.public_bytes(Encoding.PEM))
        files.key_file.write_bytes(_private_pem(key))
        return files


def self_signed(key: PrivateKey, name: str) -> x509.Certificate:
    """A root certificate over ``key``."""
    subject = _name(name)
    builder = _builder(name, subject, key.public_key(), expired=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    builder = builder.add_extension(_root_key_usage(), True)
    return _sign(builder, key.public_key(), key)


def _builder(name: str, issuer: x509.Name, public_key: PublicKey, *, expired: bool) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    ends = now - timedelta(days=1) if expired else now + timedelta(days=30)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(ends)
    )


def _sign(builder: x509.CertificateBuilder, own_key: PublicKey, signing_key: PrivateKey) -> x509.Certificate:
    """Sign with the key identifiers that strict verifiers require (RFC 5280, 4.2.1.1 and 4.2.1.2)."""
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key())
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(own_key), False)
    return builder.add_extension(issuer_key, False).sign(signing_key, SHA256())


def _root_key_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _private_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
