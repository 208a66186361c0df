"""weir compare: what the same use would have cost by the list prices of others, beside our own cost."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from billing import run
from billing.charges.rating import GB, charge
from billing.money import format_amount, parse_decimal
from billing.month.closing import Closing
from billing.month.member_month import MemberMonth
from billing.prices.comparison import Ours, Rate, bar_lines, bars, comparison, our_part, parse_rate, svg
from billing.prices.listprices import ListCost, Typed, last_day, list_cost, over_months
from billing.prices.pricefile import GIGABYTES, PriceFile, age_days, in_force
from billing.prices.shelf import read_shelf
from billing.settings import BillingSettings
from deploy.commands.bill import ship_all
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, at_desk
from deploy.output import print_json, print_table, say
from deploy.place import is_founded
from deploy.settings import DeploySettings, read
from meter.ids import NOBODY, MemberId
from meter.refusal import Refusal
from meter.store import find_member
from meter.usage import Usage
from meter.usage_store import first_month_with_usage
from meter.window import DAY_US, Month, to_datetime

THIRTY_DAYS_US = 30 * DAY_US
"""The month of a use that was typed in and is of no month."""
GB_DECIMALS = 9
WITHOUT_COOP = "EUR"
"""What rates convert into where no co-op says what its currency is."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options say."""

    member: str | None
    months: tuple[Month, ...]
    """Empty: the one that runs."""
    typed: Typed | None
    gb_bytes: int | None
    """How many bytes a typed GB has; None: as many as each provider says."""
    rates: dict[str, Rate]


@dataclass(frozen=True, slots=True)
class Found:
    """Whose use it is, and both sides."""

    title: str
    costs: list[ListCost]
    ours: Ours | None


class _MonthUse:
    """What one member, or all of them, used and were charged in a month, added up line by line."""

    def __init__(self, month: Month, member: MemberId | None) -> None:
        self.usage = Usage(NOBODY if member is None else member, month.start_us, month.end_us)
        self.charged_minor = 0
        self._member = member

    def add(self, one: MemberMonth) -> None:
        """Count a member's line, if it is theirs who was asked for."""
        if self._member not in (None, one.member.id):
            return
        now, more = self.usage, one.usage
        self.charged_minor += one.charge.amount_minor
        self.usage = replace(
            now,
            bytes_in=now.bytes_in + more.bytes_in,
            bytes_out=now.bytes_out + more.bytes_out,
            requests_a=now.requests_a + more.requests_a,
            requests_b=now.requests_b + more.requests_b,
            byte_us=now.byte_us + more.byte_us,
        )


@click.command()
@click.argument("member", required=False)
@click.option("--month", metavar="YYYY-MM", help="The month to compare; the one that runs if not given.")
@click.option("--year", metavar="YYYY", help="All months of a year instead.")
@click.option("--gb-out", metavar="GB", help="Instead of what was used: so many GB sent in a month.")
@click.option("--gb-in", metavar="GB", help="So many GB received.")
@click.option("--gb-month", metavar="GB", help="So many GB kept for the month.")
@click.option("--requests-a", type=click.IntRange(min=0), help="So many requests that change or list.")
@click.option("--requests-b", type=click.IntRange(min=0), help="So many requests that read.")
@click.option(
    "--gb", "gb_bytes", type=click.Choice(list(GIGABYTES)),
    help="Bytes of a GB typed here; if not given, what each provider calls a GB.",
)  # fmt: skip
@click.option("--rate", "rates", multiple=True, metavar="CUR=RATE[@DAY]", help="1 CUR in our currency.")
@click.option("--svg", "picture", type=click.Path(path_type=Path), help="Write the bars into this file.")
@click.option("--list", "listing", is_flag=True, help="Show the price files and their age.")
@json_option
@data_option
def compare(
    listing: bool, picture: Path | None, as_json: bool, rates: tuple[str, ...], **options: Any
) -> None:
    """What the use of a month or year would have cost by others' list prices, beside our full cost.

    Without MEMBER it is the use of all members together, as if they were one customer.
    """
    settings = read(BillingSettings)
    shelf = read_shelf(Path(settings.list_price_directory) if settings.list_price_directory else None)
    today = to_datetime(time.time_ns() // 1000).date()
    if listing:
        _list(shelf, settings, today=today, as_json=as_json)
        return
    asked = _asked(options, rates, today=today)
    if is_founded(read(DeploySettings).data.absolute()):
        found = at_desk(lambda desk: _of_the_coop(desk, shelf, asked))
    elif asked.typed is not None and not asked.months:
        found = Found(
            "Typed in", _typed_costs(shelf, asked, asked.typed, on=today, month_us=THIRTY_DAYS_US), None
        )
    else:
        raise Refusal("there is no co-op here; say what to compare, for example `weir compare --gb-out 1000`")
    to = WITHOUT_COOP if found.ours is None else found.ours.currency
    document = {
        "title": found.title,
        **comparison(found.costs, found.ours, rates=asked.rates, to=to, today=today),
    }
    groups = bars(document, to=to)
    if picture is not None:
        _write(picture, svg(groups, title=f"{found.title}: list prices and our cost"))
    if as_json:
        print_json(document)
    else:
        _print(document, asked, settings, to=to)


def _asked(options: dict[str, Any], rates: tuple[str, ...], *, today: date) -> Asked:
    if options["month"] and options["year"]:
        raise Refusal("--month and --year: give one of them")
    months: tuple[Month, ...] = ()
    if options["month"]:
        months = (Month.parse(options["month"]),)
    if options["year"]:
        first = Month.parse(f"{options['year']}-01")
        months = tuple(replace(first, number=number) for number in range(1, 13))
    named = ("gb_out", "gb_in", "gb_month", "requests_a", "requests_b")
    typed = None
    if any(options[name] is not None for name in named):
        if options["member"] or options["year"]:
            raise Refusal("what is typed in is one month of nobody: it goes with neither MEMBER nor --year")
        typed = Typed(
            _gb(options["gb_out"], "gb_out"), _gb(options["gb_in"], "gb_in"),
            _gb(options["gb_month"], "gb_month"), options["requests_a"] or 0, options["requests_b"] or 0,
        )  # fmt: skip
    elif options["gb_bytes"]:
        raise Refusal("--gb goes with --gb-out, --gb-in and --gb-month; what was used is known to the byte")
    read_rates = [parse_rate(text, today=today) for text in rates]
    return Asked(
        options["member"], months, typed, GIGABYTES.get(options["gb_bytes"] or ""),
        {one.currency: one for one in read_rates},
    )  # fmt: skip


def _gb(text: str | None, name: str) -> Fraction:
    if text is None:
        return Fraction(0)
    field = f"--{name.replace('_', '-')}"
    return Fraction(parse_decimal(text, field=field, decimals_max=GB_DECIMALS), 10**GB_DECIMALS)


def _typed_costs(
    shelf: list[PriceFile], asked: Asked, typed: Typed, *, on: date, month_us: int
) -> list[ListCost]:
    return [
        list_cost(one, typed.quantities(asked.gb_bytes or one.gb_bytes, month_us=month_us))
        for one in in_force(shelf, on)
    ]


async def _of_the_coop(desk: Desk, shelf: list[PriceFile], asked: Asked) -> Found:
    await ship_all(desk)
    now = Month.of(desk.now_us)
    async with desk.connected("weir_billing") as connection:
        member = None if asked.member is None else await find_member(connection, asked.member)
        wanted = asked.months or (now,)
        if len(wanted) > 1:
            begin = await first_month_with_usage(connection) or now
            wanted = tuple(month for month in wanted if begin <= month <= now)
            if not wanted:
                raise Refusal(f"nothing was used in {asked.months[0].year}")
        number = None if member is None else member.id
        months: list[tuple[Closing, _MonthUse]] = []
        for month in wanted:
            use = _MonthUse(month, number)
            months.append((await run.trial(connection, month, now_us=desk.now_us, each=use.add), use))
    if asked.typed is not None:
        return _typed_beside_us(shelf, asked, asked.typed, months[0][0])
    used = [(closing.inputs.month, use.usage) for closing, use in months]
    costs = [over_months(shelf, prices.id, used) for prices in in_force(shelf, last_day(wanted[-1]))]
    whose = "all members" if member is None else member.name
    period = str(wanted[0]) if len(wanted) == 1 else f"{wanted[0]} to {wanted[-1]}"
    return Found(f"{whose}, {period}", costs, _ours(months, is_all=member is None))


def _ours(months: list[tuple[Closing, _MonthUse]], *, is_all: bool) -> Ours:
    charged, cost, is_booked = 0, 0, True
    for closing, use in months:
        charges, costs = closing.result.charges_minor, closing.result.costs_minor
        part = our_part(use.charged_minor, all_charges_minor=charges, all_costs_minor=costs)
        if is_all:
            part = costs or None
        charged += use.charged_minor
        is_booked = is_booked and part is not None
        cost += part or 0
    return Ours(months[0][0].currency, charged, cost if is_booked else None)


def _typed_beside_us(shelf: list[PriceFile], asked: Asked, typed: Typed, closing: Closing) -> Found:
    month = closing.inputs.month
    length = month.end_us - month.start_us
    own = typed.quantities(asked.gb_bytes or GB, month_us=length)
    usage = Usage(
        NOBODY, month.start_us, month.end_us, int(own.bytes_in), int(own.bytes_out), own.requests_a,
        own.requests_b, int(own.byte_us),
    )  # fmt: skip
    charged = charge(usage, closing.inputs.tariff, month).amount_minor
    part = our_part(
        charged,
        all_charges_minor=closing.result.charges_minor,
        all_costs_minor=closing.result.costs_minor,
    )
    costs = _typed_costs(shelf, asked, typed, on=last_day(month), month_us=length)
    return Found(f"Typed in, by our prices of {month}", costs, Ours(closing.currency, charged, part))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise Refusal(f"{path} cannot be written: {error.strerror}") from None


def _print(document: dict[str, Any], asked: Asked, settings: BillingSettings, *, to: str) -> None:
    say(document["title"])
    ours = document["ours"]
    rows: list[tuple[object, ...]] = []
    if ours is not None:
        currency = ours["currency"]
        cost = (
            "no costs booked" if ours["cost_minor"] is None else format_amount(ours["cost_minor"], currency)
        )
        rows.append(("we charged", format_amount(ours["charged_minor"], currency), "", "", "our tariff"))
        rows.append(("our full cost", cost, "", "", "our invoices"))
    for one in document["providers"]:
        least = "at least " if one["missing"] else ""
        amount = least + format_amount(one["amount_minor"], one["currency"])
        exchanged = "" if one["converted_minor"] is None else format_amount(one["converted_minor"], to)
        rows.append(
            (
                f"{one['provider']}, {one['region']}",
                amount,
                exchanged,
                one["dated"] or "undated",
                one["standing"],
            )
        )
    print_table(
        ("", "amount", f"in {to}" if asked.rates else "", "dated", "source"),
        rows,
        numbers=("amount", f"in {to}"),
    )
    say("")
    for line in bar_lines(bars(document, to=to)):
        say(line)
    say("")
    for one in document["providers"]:
        _print_arithmetic(one, settings)
    for rate in document["rates"]:
        say(f"1 {rate['currency']} = {rate['rate']} {rate['to']} on {rate['dated']}, as given with --rate")
    if asked.typed is not None and asked.gb_bytes is None:
        say(
            "A GB typed in is what each provider calls a GB, and 10^9 bytes with us. One of 2^30 bytes is 7.4 % more; "
            "--gb 10^9 sets the same bytes for all."
        )
    say(document["our_cost"])
    say(document["not_compared"])


def _print_arithmetic(one: dict[str, Any], settings: BillingSettings) -> None:
    say(f"{one['provider']} ({one['currency']}, {one['dated'] or 'undated'}): {one['link']}")
    for line in one["lines"]:
        if line["amount_minor"] or line["units"] != "0":
            say(f"  {line['words']}, {line['unit']}: {line['arithmetic']}  [{line['standing']}]")
    if one["missing"]:
        say(f"  has no price here for {', '.join(one['missing'])}; the sum is too low")
    age = one["age_days"]
    if age is None or age > settings.list_price_age_days_max:
        say(f"  {_stale(age)}")


def _stale(age: int | None) -> str:
    return "the prices bear no date" if age is None else f"the prices are {age} days old: look for newer ones"


def _list(shelf: list[PriceFile], settings: BillingSettings, *, today: date, as_json: bool) -> None:
    rows = []
    for one in shelf:
        age = age_days(one, today)
        is_old = age is None or age > settings.list_price_age_days_max
        rows.append((one, age, is_old))
    if as_json:
        print_json(
            [
                {"id": one.id, "provider": one.provider, "region": one.region, "currency": one.currency,
                 "dated": one.dated, "age_days": age, "is_old": is_old, "standing": one.standing.value,
                 "gb_bytes": one.gb_bytes, "link": one.link}
                for one, age, is_old in rows
            ]
        )  # fmt: skip
        return
    print_table(
        ("id", "provider", "region", "currency", "dated", "age in days", "source", ""),
        [
            (one.id, one.provider, one.region, one.currency, one.dated or "undated", age, one.standing.value,
             _stale(age) if is_old else "")
            for one, age, is_old in rows
        ],
        numbers=("age in days",),
    )  # fmt: skip
