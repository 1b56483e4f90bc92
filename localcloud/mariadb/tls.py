"""Certificates for the database endpoints: one authority per home, one server certificate per cluster.

As with Aurora, a client that wants to verify an endpoint trusts a bundle (here ``<home>/tls/ca.pem``) and finds the
endpoint's name, here its loopback address, in the certificate.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_VALID = dt.timedelta(days=3650)


class Authority:
    """The certificate authority in a folder; made on first use.

    :param folder: gets ca.pem (public), ca-key.pem and server-key.pem (0600).
    """

    def __init__(self, folder: Path) -> None:
        self.ca_file = folder / "ca.pem"
        self.server_key_file = folder / "server-key.pem"
        ca_key_file = folder / "ca-key.pem"
        folder.mkdir(parents=True, exist_ok=True)
        self._ca_key = _key(ca_key_file)
        self._server_key = _key(self.server_key_file)
        if not self.ca_file.exists():
            self.ca_file.write_bytes(self._root().public_bytes(serialization.Encoding.PEM))
        self._ca = x509.load_pem_x509_certificate(self.ca_file.read_bytes())

    def write_server_certificate(self, path: Path, addresses: Iterable[str]) -> None:
        """Write a certificate valid for `addresses` (IP addresses) and localhost to `path`."""
        names: list[x509.GeneralName] = [x509.DNSName("localhost")]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in sorted(addresses)]
        certificate = (
            _builder("localcloud database", self._ca.subject, self._server_key)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca_key.public_key()), critical=False
            )
            .sign(self._ca_key, hashes.SHA256())
        )
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _root(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localcloud database authority")])
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
            decipher_only=False,
        )  # fmt: skip
        return (
            _builder("localcloud database authority", name, self._ca_key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._ca_key, hashes.SHA256())
        )


def _builder(common_name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    if not path.exists():
        path.touch(mode=0o600)
    if not path.stat().st_size:
        path.write_bytes(
            ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key
