"""Secrets sealed by somebody who cannot open them: to one key pair and one access key, refused when a bit differs."""

from __future__ import annotations

import pytest

from billing.portal.keys import Bounds, KeyLine
from gateway.key_files import KEY_BYTES
from gateway.scope import KeyScope, parse_scope
from gateway.vault import Vault
from meter.credentials import is_sealed_to, open_with, public_half, seal_to
from meter.refusal import Refusal

SECRET = "a secret of forty characters, more or less"


def test_a_vault_opens_what_was_sealed_to_its_letterbox_and_what_it_sealed_itself() -> None:
    vault = Vault(bytes(range(KEY_BYTES)))
    letter = seal_to(vault.letterbox, SECRET, access_key="WEIRA")
    assert (True, SECRET) == (is_sealed_to(letter), vault.reveal(letter, access_key="WEIRA"))
    assert SECRET == vault.reveal(vault.seal(SECRET, access_key="WEIRA"), access_key="WEIRA")
    assert SECRET.encode() not in letter
    assert bytes(range(KEY_BYTES)) not in letter


def test_a_letter_with_any_bit_flipped_or_for_another_key_is_refused() -> None:
    vault = Vault(bytes(range(KEY_BYTES)))
    letter = seal_to(vault.letterbox, SECRET, access_key="WEIRA")
    for bit in range(len(letter) * 8):
        flipped = bytearray(letter)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Refusal):
            vault.reveal(bytes(flipped), access_key="WEIRA")
    with pytest.raises(Refusal):
        vault.reveal(letter, access_key="WEIRB")
    with pytest.raises(Refusal):
        Vault(b"\x01" * KEY_BYTES).reveal(letter, access_key="WEIRA")


def test_who_seals_cannot_open() -> None:
    vault = Vault(bytes(range(KEY_BYTES)))
    letter = seal_to(vault.letterbox, SECRET, access_key="WEIRA")
    with pytest.raises(Refusal):
        open_with(vault.letterbox, letter, access_key="WEIRA")


def test_the_public_half_is_that_of_rfc_7748() -> None:
    # RFC 7748, 5.2: one iteration with the base point, 9, as the scalar too.
    private = bytes([9]) + bytes(31)
    assert "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079" == public_half(private).hex()


@pytest.mark.parametrize(
    ("bounds", "scope"),
    [
        (Bounds(), None),
        (Bounds(read_only=True), KeyScope(read_only=True)),
        (Bounds(buckets=("b", "a")), KeyScope(buckets=frozenset({"a", "b"}))),
        (Bounds(expires_us=5), KeyScope(expires_us=5)),
        (Bounds(True, ("a",), 7), KeyScope(True, frozenset({"a"}), 7)),
    ],
)
def test_gateways_read_the_bounds_that_the_portal_writes(bounds: Bounds, scope: KeyScope | None) -> None:
    assert scope == parse_scope(bounds.text())
    line = KeyLine.read("WEIRA", 0, None, bounds.text())
    assert (bounds.read_only, bounds.expires_us) == (line.bounds.read_only, line.bounds.expires_us)
    assert sorted(bounds.buckets or ()) == list(line.bounds.buckets or ())
