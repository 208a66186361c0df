"""What is decided for one fiscal year, as it is typed at the command line or into a page. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from billing.money import parse_amount, parse_exact
from billing.year_gather import Options
from meter.refusal import Refusal


def typed_options(
    currency: str, *, put_aside: Sequence[str], set_off: bool, withhold: bool, reference_rate: str | None
) -> Options:
    """Read ACCOUNT=AMOUNT lines, two choices and a rate like 0.03. Raises Refusal naming the field."""
    resolved: dict[str, int] = {}
    for one in put_aside:
        account, equals, amount = one.partition("=")
        if not equals or (account != "reserve:voluntary" and not account.startswith("fund:")):
            raise Refusal(
                f"put-aside: '{one[:60]}' is not ACCOUNT=AMOUNT; the account is reserve:voluntary or fund:NAME"
            )
        if account in resolved:
            raise Refusal(f"put-aside: {account} stands there twice; give it once")
        resolved[account] = parse_amount(amount, currency, field=f"put-aside {account}")
    rate: Fraction | None = None
    if reference_rate is not None:
        rate = parse_exact(reference_rate, field="reference-rate")
    return Options(tuple(sorted(resolved.items())), set_off, withhold, rate)
