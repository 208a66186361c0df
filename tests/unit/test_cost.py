"""Invoices are refused with the field that is wrong."""

import pytest

from billing.costs.invoices import by_pool, invoice
from meter.refusal import Refusal
from meter.window import Month


def make(pool: str = "transit", amount: str = "412.00", memo: str = "") -> int:
    return invoice(
        month=Month(2026, 11), pool=pool, amount=amount, currency="EUR", memo=memo, booked_us=0
    ).amount_minor


def test_an_invoice_is_read_to_the_cent() -> None:
    assert make() == 41200


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("amount", "-1.00", "amount: .* negative"),
        ("amount", "0.00", "amount: an invoice is more than 0"),
        ("amount", "1.001", "amount: .* 3 decimals"),
        ("pool", "Transit", "pool: 'Transit' is not a pool's name"),
        ("pool", "", "pool: "),
        ("pool", "-", "pool: "),
        ("memo", "two\nlines", "memo: one line"),
        ("memo", "x" * 501, "memo: one line"),
    ],
)
def test_a_bad_invoice_is_refused(field: str, value: str, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        make(**{field: value})


def test_pools_are_summed() -> None:
    month = Month(2026, 11)
    bills = [
        invoice(month=month, pool=pool, amount=amount, currency="EUR", memo="", booked_us=0)
        for pool, amount in [("transit", "1"), ("disks", "2"), ("transit", "3.50")]
    ]
    assert by_pool(bills) == {"disks": 200, "transit": 450}
