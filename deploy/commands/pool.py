"""weir pool: by which key each cost pool is shared, and what that makes for everybody."""

from __future__ import annotations

import click

from billing.costs import store as cost_store
from billing.costs.costing import set_pool
from billing.costs.percentile import Percentile, bits_per_second, utilisation
from billing.costs.pools import Measure, key_text, measure_text
from billing.costs.run import Shared, shared
from billing.money import format_amount, format_decimal, rounded_to_three
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_treasurer, at_desk, ship_up_to_now
from deploy.instants import instant_text
from deploy.output import print_json, print_table, say
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.window import Month

History = list[tuple[int, str, Month, str, str, int]]


@click.group()
def pool() -> None:
    """Cost pools and the keys they are shared by."""


@pool.command("set")
@click.argument("name")
@click.option(
    "--key", required=True, help="gb_out, p95:internet, '40 % equal + 60 % gb_month', 'fee 400.00 + p95'."
)
@click.option("--from", "begin", required=True, metavar="YYYY-MM", help="The first month it holds for.")
@click.option("--memo", default="", help="Why, or who decided it.")
@data_option
def set_(name: str, key: str, begin: str, memo: str) -> None:
    """Share the costs of pool NAME by a key, from a month on. Earlier months keep theirs, and closed ones that had none
    may be given one."""
    month = Month.parse(begin)

    async def work(desk: Desk) -> str:
        async with desk.acting(
            "weir_office", as_treasurer(f"share pool {name} by the key '{key}' from {month} on")
        ) as connection:
            await set_pool(connection, name=name, month=month, key=key, memo=memo, now_us=desk.now_us)
            return (await cost_store.pool_keys(connection, month))[name]

    say(f"pool {name} is shared by '{at_desk(work)}' from {month} on")


@pool.command("list")
@click.argument("month", required=False, metavar="[YYYY-MM]")
@json_option
@data_option
def list_(month: str | None, as_json: bool) -> None:
    """The keys in force this month, or in the one given."""

    async def work(desk: Desk) -> tuple[Month, dict[str, str]]:
        wanted = Month.of(desk.now_us) if month is None else Month.parse(month)
        async with desk.connected("weir_billing") as connection:
            return wanted, await cost_store.pool_keys(connection, wanted)

    wanted, keys = at_desk(work)
    if as_json:
        print_json({"month": str(wanted), "pools": keys})
    else:
        print_table(("pool", f"key in {wanted}"), sorted(keys.items()))


@pool.command("show")
@click.argument("name")
@json_option
@data_option
def show(name: str, as_json: bool) -> None:
    """Every key that pool NAME ever had, from when on and why."""

    async def work(desk: Desk) -> History:
        async with desk.connected("weir_billing") as connection:
            return await cost_store.pool_history(connection, name)

    found = at_desk(work)
    if not found:
        raise Refusal(f"pool {name[:60]}: no key was ever set; `weir pool set` sets one")
    if as_json:
        keys = [
            {"number": number, "from": str(begin), "key": key, "memo": memo, "set": instant_text(set_us)}
            for number, _, begin, key, memo, set_us in found
        ]
        print_json({"pool": name, "keys": keys})
    else:
        rows = [(number, begin, key, memo) for number, _, begin, key, memo, _ in found]
        print_table(("number", "from", "key", "memo"), rows, numbers=("number",))


@pool.command("share")
@click.argument("month", metavar="YYYY-MM")
@json_option
@data_option
def share(month: str, as_json: bool) -> None:
    """Each pool's cost of a month shared out by its key, to the cent. It changes nothing."""
    wanted = Month.parse(month)

    async def work(desk: Desk) -> Shared:
        await ship_up_to_now(desk)
        async with desk.connected("weir_billing") as connection:
            return await shared(connection, wanted, now_us=desk.now_us)

    done = at_desk(work)
    if as_json:
        print_json(_document(done))
    else:
        _print(done)


def _document(done: Shared) -> dict[str, object]:
    return {
        "month": str(done.month),
        "currency": done.currency,
        "pools": {
            name: {
                "cost_minor": done.costs[name],
                "key": key_text(done.keys[name], currency=done.currency),
                "equally": [measure_text(one) for one in done.equally.get(name, ())],
                "parts": [
                    {"member": member, "amount_minor": amount} for member, amount in sorted(parts.items())
                ],
            }
            for name, parts in done.parts.items()
        },
        "lines": [
            {
                "key": measure_text(measure),
                "samples": line.samples,
                "billed_bytes": line.billed_bytes,
                "samples_that_make_it": len(line.band),
                "moved_bytes": line.moved_bytes,
            }
            for measure, line in _sorted(done)
        ],
    }


def _sorted(done: Shared) -> list[tuple[Measure, Percentile]]:
    return sorted(done.lines.items(), key=lambda one: measure_text(one[0]))


def _print(done: Shared) -> None:
    def amount(minor: int) -> str:
        return format_amount(minor, done.currency)

    for name in done.parts:
        say(f"{name}: {amount(done.costs[name])} by {key_text(done.keys[name], currency=done.currency)}")
    for name, unused in done.equally.items():
        said = ", ".join(measure_text(one) for one in unused)
        say(f"{name}: nobody used anything that {said} counts, and {done.month} is closed: shared equally")
    say("")
    pools = tuple(done.parts)
    everybody = sorted({member for parts in done.parts.values() for member in parts})
    rows = [(_name(done, member), *_amounts(done, member)) for member in everybody]
    rows.append(("together", *(amount(done.costs[name]) for name in pools), amount(sum(done.costs.values()))))
    columns = ("member", *pools, "all pools")
    print_table(columns, rows, numbers=columns[1:])
    for measure, line in _sorted(done):
        say("")
        rate = bits_per_second(line.billed_bytes)
        text, exact = rounded_to_three(rate.numerator, rate.denominator * 10**6)
        used = utilisation(line) * 10_000
        percent = format_decimal(used.numerator // used.denominator, 2)
        say(
            f"{measure_text(measure)}: of {line.samples:,} samples the billed one is {'' if exact else 'about '}{text} "
            f"Mbit/s; {len(line.band):,} samples make it; the line is used to {percent} % of that"
        )


def _name(done: Shared, member: MemberId) -> str:
    return done.names.get(member, f"member {member}")


def _amounts(done: Shared, member: MemberId) -> list[str]:
    own = [parts.get(member, 0) for parts in done.parts.values()]
    return [format_amount(minor, done.currency) for minor in (*own, sum(own))]
