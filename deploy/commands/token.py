"""weir token: members' tokens for the API, for who runs the machine."""

from __future__ import annotations

import click

from billing.portal.bearer import make_token
from billing.portal.token_store import revoke_token, tokens
from billing.portal.tokens import SCOPE_WORDS, Scope, Token, read_wanted
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, at_desk
from deploy.instants import instant_text
from deploy.output import print_json, print_table, say
from meter.refusal import Refusal
from meter.store import find_member
from meter.usage import MemberStatus


@click.group()
def token() -> None:
    """Members' tokens for the JSON API."""


@token.command("create")
@click.argument("member")
@click.option("--name", required=True, help="What it is for.")
@click.option(
    "--scope", "scopes", multiple=True, required=True, type=click.Choice([one.value for one in Scope]),
    help="What it may do: " + "; ".join(f"{scope.value}, {words}" for scope, words in SCOPE_WORDS.items()) + ".",
)  # fmt: skip
@click.option("--days", required=True, metavar="N", help="It ends after so many days.")
@json_option
@data_option
def create(member: str, name: str, scopes: tuple[str, ...], days: str, as_json: bool) -> None:
    """A new token for MEMBER; it is shown this once."""

    async def work(desk: Desk) -> dict[str, object]:
        async with desk.connected("weir_meter") as connection:
            found = await find_member(connection, member)
        wanted = read_wanted(name, scopes, days, days_max=desk.billing.api_token_days_max, now_us=desk.now_us)
        async with desk.connected("weir_billing") as connection:
            made = await make_token(connection, found.id, wanted, desk.billing, now_us=desk.now_us)
        return {
            "member": found.name,
            "token": made,
            "scopes": [one.value for one in wanted.scopes],
            "expires": instant_text(wanted.expires_us),
        }

    made = at_desk(work)
    if as_json:
        print_json(made)
    else:
        say(str(made["token"]))
        say(f"It is not shown again, and ends {made['expires']}.")


@token.command("list")
@click.argument("member")
@json_option
@data_option
def list_(member: str, as_json: bool) -> None:
    """MEMBER's tokens, closed ones too, without their secrets."""

    async def work(desk: Desk) -> list[dict[str, object]]:
        async with desk.connected("weir_meter") as connection:
            found = await find_member(connection, member)
        async with desk.connected("weir_billing") as connection:
            return [
                # Who has left is let in with none.
                document(one, is_open=found.status is not MemberStatus.LEFT and one.is_open(desk.now_us))
                for one in await tokens(connection, found.id)
            ]

    documents = at_desk(work)
    if as_json:
        print_json({"tokens": documents})
    else:
        columns = ("id", "name", "scopes", "created", "expires", "used", "used_from", "revoked", "is_open")
        print_table(columns, [[_cell(one[name]) for name in columns] for one in documents])


@token.command("revoke")
@click.argument("token_id")
@data_option
def revoke(token_id: str) -> None:
    """Close the token with the number TOKEN_ID for good."""

    async def work(desk: Desk) -> None:
        async with desk.connected("weir_billing") as connection:
            if not await revoke_token(connection, None, token_id, now_us=desk.now_us):
                raise Refusal(f"there is no open token with the number '{token_id[:40]}'")

    at_desk(work)
    say(f"{token_id} is closed")


def document(one: Token, *, is_open: bool) -> dict[str, object]:
    """A token as JSON, without its secret."""
    return {
        "id": one.id,
        "name": one.name,
        "scopes": [scope.value for scope in one.scopes],
        "created": instant_text(one.created_us),
        "expires": instant_text(one.expires_us),
        "used": None if one.seen_us is None else instant_text(one.seen_us),
        "used_from": one.seen_from,
        "revoked": None if one.revoked_us is None else instant_text(one.revoked_us),
        "is_open": is_open,
    }


def _cell(value: object) -> object:
    return " ".join(value) if isinstance(value, list) else value
