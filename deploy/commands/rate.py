"""weir member rate: how fast one member may go, where it is not what all may."""

from __future__ import annotations

import click

from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_operator, at_desk
from deploy.output import print_json, say
from gateway.rates import OwnRates
from gateway.rates_store import own_rates, set_own_rates
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.sizes import parse_limit
from meter.store import find_member

AS_ALL = "all"


@click.command("rate")
@click.argument("name")
@click.option(
    "--requests", metavar="NUMBER", help="Requests a second; 'none': no limit, 'all': what all members may."
)
@click.option(
    "--bytes", "size", metavar="SIZE", help="Body bytes a second, both directions together (20MB); likewise."
)
@json_option
@data_option
def rate(name: str, requests: str | None, size: str | None, as_json: bool) -> None:
    """Set how fast NAME may go at one gateway; what is not given stays. Settings say what all members may."""
    if requests is None and size is None:
        raise Refusal(
            "name --requests, --bytes or both, such as --requests 200; `weir member show` shows them"
        )
    most_requests = None if requests is None else _requests_per_s(requests)
    most_bytes = None if size is None else _bytes_per_s(size)

    async def work(desk: Desk) -> OwnRates:
        async with desk.connected("weir_meter") as connection:
            found = await find_member(connection, name)
        act = as_operator("set how fast a member may go", subject=found.id)
        async with desk.acting("weir_gateway", act) as connection:
            known = await rates_of(connection, found.id)
            wanted = OwnRates(
                known.requests_per_s if requests is None else most_requests,
                known.bytes_per_s if size is None else most_bytes,
            )
            await set_own_rates(connection, found.id, wanted)
            act.detail = "; ".join(_sentences(wanted))
        return wanted

    told = at_desk(work)
    if as_json:
        print_json({"name": name, **rates_document(told)})
        return
    for sentence in _sentences(told):
        say(sentence)
    say("gateways hear of it within seconds")


async def rates_of(connection: Connection, member: MemberId) -> OwnRates:
    """What was set for one member alone."""
    return (await own_rates(connection, among=[member])).get(member, OwnRates())


def rates_document(told: OwnRates) -> dict[str, int | None]:
    """As JSON; null: what all members may, 0: no limit."""
    return {"requests_per_s": told.requests_per_s, "bytes_per_s": told.bytes_per_s}


def _sentences(told: OwnRates) -> list[str]:
    return [
        f"{what} a second: {'what all members may' if most is None else f'{most:,}' if most else 'no limit'}"
        for what, most in (("requests", told.requests_per_s), ("bytes", told.bytes_per_s))
    ]


def _requests_per_s(text: str) -> int | None:
    if text.lower() in (AS_ALL, "none"):
        return None if text.lower() == AS_ALL else 0
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10**9):
        raise Refusal(f"'{text}' is no number of requests a second; write it like 200, 'none' or 'all'")
    return int(text)


def _bytes_per_s(text: str) -> int | None:
    return None if text.lower() == AS_ALL else parse_limit(text) or 0
