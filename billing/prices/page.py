"""The page docs/prices.md, written out of the price files: every number with its date, source and units. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from billing.money import format_amount
from billing.prices.comparison import NOT_COMPARED, OUR_COST
from billing.prices.listprices import Typed, list_cost, price_text, units_text
from billing.prices.pricefile import Meter, PriceFile, PriceLine
from meter.window import DAY_US

_HEAD = """\
# Compared with list prices

    weir compare                                  # all members together, the month that runs
    weir compare anna --month 2026-11             # one member, a month
    weir compare anna --year 2026
    weir compare --gb-out 10000 --gb-month 500 --requests-a 20000 --requests-b 1000000
    weir compare --rate USD=0.92@2026-11-20       # converted at a rate you give, and say of which day
    weir compare --svg bars.svg                   # the bars as a picture; --json for programs
    weir compare --list                           # the price files, and how old they are

The command takes what was used, to the byte, and works out what it would have come to by the list prices of others.
Beside it stand what our tariff charged, and our full cost. Every provider's sum is shown step by step.

## What is honest about it, and what is not in it

* **Our side is the full cost.** {our_cost}
* **Their side is the list.** {not_compared}
* **Free amounts and steps are applied**, each month anew. A line is exact to its end and rounded once.
* **A GB is what each provider calls one.** Some count 10^9 bytes, some 2^30, which is 7.4 % more. What was used is
  known to the byte, so each provider's own GB is taken. What you type with `--gb-out` is each provider's own GB, as in
  the provider's calculator; `--gb 10^9` or `--gb 2^30` sets the same bytes for all.
* **A month is what each provider calls one**: all the hours it has, its average, TB-hours one by one.
* **Nothing is converted** unless you give a rate and its day; else every currency has its own group of bars.
* **What has no source is left out and named.** A sum with something missing is called "at least".
* **Cloudflare R2 is in the table**, and sends for nothing. An investor-owned firm can do that, too; the price then sits
  in the requests. Who mostly sends and hardly asks twice is cheaper there than nearly anywhere, and the table says so.
* A price list is of a date. `weir compare --list` calls one old when it is older than `list_price_age_days_max`, and one
  without a date is called that.

## Price files

The files are in `billing/prices`. Yours go into a directory of your own, named by the setting `list_price_directory`:
copy a file, change the numbers, `dated` and each `source`. The last prices dated on or before the month's end are the
ones it is compared with. Each number says how good its source is: `vendor`, the provider's own page; `secondary`,
somebody who copied it; `unchecked`, nobody looked.

"""


def page(shelf: Sequence[PriceFile]) -> str:
    """The whole page."""
    rows = [_HEAD.format(our_cost=OUR_COST, not_compared=NOT_COMPARED)]
    rows += _example(shelf)
    for prices in shelf:
        rows += _of_one(prices)
    return "".join(rows).rstrip("\n") + "\n"


def _example(shelf: Iterable[PriceFile]) -> Iterator[str]:
    yield "## Ten thousand GB sent\n\nNothing stored, nothing asked, in a month of 30 days.\n\n"
    yield "| provider | dated | source | amount |\n|---|---|---|---:|\n"
    for prices in shelf:
        used = Typed(gb_out=Fraction(10_000)).quantities(prices.gb_bytes, month_us=30 * DAY_US)
        amount = format_amount(list_cost(prices, used).amount_minor, prices.currency)
        yield f"| {prices.provider} | {prices.dated or 'undated'} | {prices.standing.value} | {amount} |\n"
    yield "\n"


def _of_one(prices: PriceFile) -> Iterator[str]:
    power = "10^9" if prices.gb_bytes == 10**9 else "2^30"
    yield f"## {prices.provider}\n\n"
    yield (
        f"{prices.region}, in {prices.currency}, dated {prices.dated or 'nowhere'}. A GB is {power} bytes "
        f"({prices.gb_source}). <{prices.link}>\n\n"
    )
    yield "| what | unit | price a unit | source | |\n|---|---|---|---|---|\n"
    for line in prices.lines:
        unit = line.unit + (", begun ones whole" if line.rounds_up else "")
        yield f"| {line.words} | {unit} | {_steps(line)} | {line.source} | {line.standing.value} |\n"
    yield "\n"
    for note in prices.notes:
        yield f"* {note}\n"
    yield "\n" if prices.notes else ""


def _steps(line: PriceLine) -> str:
    told = []
    for tier in line.tiers:
        price = price_text(tier.price) if tier.price else "free"
        if tier.to is not None:
            told.append(f"to {units_text(tier.to)}: {price}")
        elif tier.to_stored is not None:
            told.append(f"to {units_text(tier.to_stored)} × what is stored: {price}")
        elif tier.to_month_hours:
            told.append(f"to as many as the month has hours: {price}")
        else:
            told.append(f"then {price}" if told else price)
    if line.meter is Meter.STORED and line.minimum_days:
        told.append(f"at least {line.minimum_days} days")
    return "; ".join(told)
