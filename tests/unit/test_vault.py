"""Members' secrets at rest: sealed to their key's name, refused when a bit differs, never without a master key."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from gateway.key_files import KEY_BYTES
from gateway.vault import Vault
from meter.refusal import Refusal

SECRET = "a secret of forty characters, more or less"


def test_a_sealed_secret_with_any_bit_flipped_is_refused() -> None:
    vault = Vault(bytes(range(KEY_BYTES)))
    sealed = vault.seal(SECRET, access_key="WEIRA")
    assert SECRET == vault.reveal(sealed, access_key="WEIRA")
    for bit in range(len(sealed) * 8):
        flipped = bytearray(sealed)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Refusal):
            vault.reveal(bytes(flipped), access_key="WEIRA")


def test_a_sealed_secret_opens_for_its_own_key_and_master_only() -> None:
    sealed = Vault(bytes(KEY_BYTES)).seal(SECRET, access_key="WEIRA")
    assert SECRET.encode() not in sealed
    with pytest.raises(Refusal):
        Vault(bytes(KEY_BYTES)).reveal(sealed, access_key="WEIRB")
    with pytest.raises(Refusal):
        Vault(b"\x01" * KEY_BYTES).reveal(sealed, access_key="WEIRA")


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    vault = Vault(bytes(KEY_BYTES))
    assert 100 == len({vault.seal(SECRET, access_key="WEIRA") for _ in range(100)})


def test_a_master_key_is_made_for_its_owner_only_and_never_made_up(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"there is no such file\. The first `weir up` makes it"):
        Vault.open(tmp_path / "absent.key")
    Vault.open(tmp_path / "made.key", create=True)
    assert 0o600 == stat.S_IMODE((tmp_path / "made.key").stat().st_mode)
    (tmp_path / "short.key").write_bytes(bytes(KEY_BYTES - 1))
    with pytest.raises(Refusal):
        Vault.open(tmp_path / "short.key", create=True)
    assert "Vault(…)" == repr(Vault(b"\x07" * KEY_BYTES))
