"""Money that waits at the bank is neither listed as unclaimed nor forfeited; as a treasurer types it."""

import asyncio
import json
from pathlib import Path

import pytest

from billing.ledger.entry import payable
from deploy.founding import vault_path
from gateway.vault import Vault
from meter.window import Month
from tests.capital import balance, money, waits
from tests.coop import Coop
from tests.integration.conftest import Command
from tests.unit.test_bank import camt, details, entry

RULED = ("capital", "unclaimed", "list", "--rule", "trico", "--json")
FORFEIT = ("capital", "unclaimed", "forfeit", "--rule", "trico", "--resolution", "2026-7", "--json")


@pytest.fixture(autouse=True)
def sealed(data: Path) -> None:
    """Bank accounts are kept sealed."""
    Vault.open(vault_path(data), create=True)


async def test_what_waits_at_the_bank_is_not_forfeited_and_what_came_since_is(
    co_op: Coop, typed: Command, tmp_path: Path
) -> None:
    """50.00 of May 2023 are ordered; the 20.00 made payable after that are not, and wait too long as well."""
    anna, ben = await co_op.found("anna", "ben")
    books = await co_op.books()
    await money(books, 100_000)
    await waits(books, anna, 5_000, since_us=Month(2023, 5).start_us)
    await waits(books, ben, 700, since_us=Month(2023, 4).start_us)

    async def weir(*words: object) -> str:
        return await asyncio.to_thread(typed, *words)

    await weir("pay", "own-account", "DE02120300000000202051", "--name", "Weir")
    await weir("pay", "account", "anna", "DE89370400440532013000", "--name", "Anna")
    await weir("pay", "export", "--to", tmp_path / "batch.xml")
    await waits(books, anna, 2_000, since_us=Month(2023, 6).start_us)

    listed = json.loads(await weir(*RULED))
    assert [("anna", "2023-06-01", 2_000), ("ben", "2023-04-01", 700)] == [
        (one["member"], one["since"], one["amount_minor"]) for one in listed["unclaimed"]
    ]
    assert [{"member": "anna", "amount_minor": 5_000}] == listed["ordered"]
    assert "waits at the bank" in await weir(*RULED[:-1])

    gone = json.loads(await weir(*FORFEIT))["forfeited"]
    assert [("anna", 2_000), ("ben", 700)] == [(one["member"], one["amount_minor"]) for one in gone]
    told = tmp_path / "told.xml"
    paid = details("Payment", e2e=f"WEIR-PAY-1-M{anna}", side="Cdtr", name="Anna", pty=False)
    told.write_bytes(camt(entry("50.00", "DBIT", inner=paid)))
    await weir("pay", "import", told)
    assert (0, 0, -2_700) == (
        await balance(books, payable(anna)), await balance(books, payable(ben)),
        await balance(books, "fund:education"),
    )  # fmt: skip
    assert [] == json.loads(await weir(*RULED))["ordered"]


async def test_a_batch_that_is_cancelled_leaves_its_money_unclaimed(
    co_op: Coop, typed: Command, tmp_path: Path
) -> None:
    (anna,) = await co_op.found("anna")
    books = await co_op.books()
    await money(books, 100_000)
    await waits(books, anna, 5_000, since_us=Month(2023, 5).start_us)
    await asyncio.to_thread(typed, "pay", "own-account", "DE02120300000000202051", "--name", "Weir")
    await asyncio.to_thread(typed, "pay", "account", "anna", "DE89370400440532013000", "--name", "Anna")
    await asyncio.to_thread(typed, "pay", "export", "--to", tmp_path / "batch.xml")
    assert [] == json.loads(await asyncio.to_thread(typed, *FORFEIT))["forfeited"]
    await asyncio.to_thread(typed, "pay", "cancel", "1")
    assert 5_000 == json.loads(await asyncio.to_thread(typed, *RULED))["unclaimed"][0]["amount_minor"]
    assert -5_000 == await balance(books, payable(anna))
