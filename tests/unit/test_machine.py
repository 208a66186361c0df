"""What the supervisor reads of its machine: certificates, by files that a renewal may be writing just now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.observe.machine import Machine, expiry_s, names_apart

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def certificate(ends: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "s3.example.coop")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(ends - timedelta(days=90)).not_valid_after(ends)
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def told(place: Path, files: str) -> dict[str, float]:
    return {
        name.split('"')[1]: value
        for name, value in Machine(place, files).look().gauges.items()
        if name.startswith("weir_certificate_expiry")
    }


def test_certificates_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """As certbot and acme.sh keep them: one directory a host, and the same name in each."""
    ends = {"s3.example.coop": NOON, "my.example.coop": NOON + timedelta(days=60)}
    for host, end in ends.items():
        tmp_path.joinpath(host).mkdir()
        tmp_path.joinpath(host, "fullchain.pem").write_bytes(certificate(end))
    files = ", ".join(f"{tmp_path}/{host}/fullchain.pem" for host in ends)
    assert {f"{host}/fullchain.pem": end.timestamp() for host, end in ends.items()} == told(tmp_path, files)


def test_a_file_keeps_its_name_where_no_other_has_it() -> None:
    told = names_apart(
        map(Path, ("/a/x/one.pem", "/b/x/one.pem", "one.pem", "two.pem", "/c/two.pem", "/c/three.pem"))
    )
    assert ["a/x/one.pem", "b/x/one.pem", "one.pem", "two.pem", "c/two.pem", "three.pem"] == list(told)
    assert ["one.pem"] == list(names_apart([Path("/a/one.pem"), Path("/a/one.pem")]))


def test_a_file_that_is_half_written_cannot_be_read(tmp_path: Path) -> None:
    """A proxy that is reloaded now would refuse it, or serve a chain that clients cannot follow."""
    own, chain = certificate(NOON), certificate(NOON + timedelta(days=900))
    file = tmp_path / "fullchain.pem"
    found = []
    for content in (own + chain, own + chain[: len(chain) // 2], own[: len(own) // 2], b""):
        file.write_bytes(content)
        found.append(expiry_s(file))
    assert [NOON.timestamp(), 0, 0, 0] == found
