"""weir key and weir login-link: what opens the doors for a member."""

from __future__ import annotations

import click

from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_operator, at_desk
from deploy.founding import login_link as make_login_link
from deploy.instants import instant_text, parse_end
from deploy.output import print_json, print_table, say
from deploy.place import DataRefused
from gateway.keys import create_key, list_keys, revoke_key
from gateway.names import is_bucket_name
from gateway.scope import KeyScope, parse_scope
from gateway.store import KeyRow
from meter.refusal import Refusal
from meter.store import find_member


def document(row: KeyRow) -> dict[str, object]:
    """An access key as JSON, without its secret."""
    return {
        "access_key": row.access_key,
        "member": row.member_name,
        "member_status": row.member_status.value,
        "created": instant_text(row.created_us),
        "revoked": None if row.revoked_us is None else instant_text(row.revoked_us),
        **bounds(parse_scope(row.scope)),
    }


def bounds(scope: KeyScope | None) -> dict[str, object]:
    """What a key is held to, as JSON: null where there is no bound."""
    held = scope or KeyScope()
    return {
        "read_only": held.read_only,
        "buckets": None if held.buckets is None else sorted(held.buckets),
        "expires": None if held.expires_us is None else instant_text(held.expires_us),
    }


def in_words(one: dict[str, object]) -> str:
    """The bounds for a person's eyes."""
    buckets, expires = one["buckets"], one["expires"]
    words = ["reads only"] if one["read_only"] else []
    if isinstance(buckets, list):
        words.append("only " + " ".join(buckets))
    if expires is not None:
        words.append(f"until {expires}")
    return ", ".join(words)


@click.group()
def key() -> None:
    """Members' access keys."""


@key.command("create")
@click.argument("member")
@click.option("--read-only", is_flag=True, help="The key may read and list, and change nothing.")
@click.option("--bucket", "buckets", multiple=True, metavar="NAME", help="Only this bucket; may be repeated.")
@click.option(
    "--expires",
    metavar="WHEN",
    help="A span like 30d or 12h, or a time, UTC, like 2026-12-31, which is the start of that day.",
)
@json_option
@data_option
def create(
    member: str, read_only: bool, buckets: tuple[str, ...], expires: str | None, as_json: bool
) -> None:
    """A new access key for MEMBER; its secret is shown this once.

    The options hold the key to less than what MEMBER may.
    """

    async def work(desk: Desk) -> dict[str, object]:
        async with desk.connected("weir_meter") as connection:
            found = await find_member(connection, member)
        scope = asked_scope(read_only=read_only, buckets=buckets, expires=expires, now_us=desk.now_us)
        act = as_operator("make an access key for a member", subject=found.id)
        async with desk.acting("weir_gateway", act) as connection:
            access_key, secret_key = await create_key(
                connection, found.id, vault=desk.vault(), now_us=desk.now_us, scope=scope
            )
            act.detail = access_key
        made = {"member": found.name, "access_key": access_key, "secret_key": secret_key}
        return made | bounds(scope)

    made = at_desk(work)
    if as_json:
        print_json(made)
    else:
        say(f"access key  {made['access_key']}")
        say(f"secret key  {made['secret_key']}")
        say("The secret is not shown again.")


def asked_scope(
    *, read_only: bool, buckets: tuple[str, ...], expires: str | None, now_us: int
) -> KeyScope | None:
    """The bounds that were asked for; None for none. Raises Refusal."""
    for name in buckets:
        if not is_bucket_name(name):
            raise Refusal(f"'{name}' cannot be the name of a bucket")
    expires_us = None if expires is None else parse_end(expires, now_us=now_us)
    scope = KeyScope(read_only, frozenset(buckets) if buckets else None, expires_us)
    return None if scope == KeyScope() else scope


@key.command("list")
@click.argument("member", required=False)
@json_option
@data_option
def list_(member: str | None, as_json: bool) -> None:
    """All access keys, or MEMBER's."""

    async def work(desk: Desk) -> list[KeyRow]:
        only = None
        if member is not None:
            async with desk.connected("weir_meter") as connection:
                only = (await find_member(connection, member)).id
        async with desk.connected("weir_gateway") as connection:
            return await list_keys(connection, only)

    documents = [document(row) for row in at_desk(work)]
    if as_json:
        print_json({"keys": documents})
    else:
        columns = ("access_key", "member", "member_status", "created", "revoked")
        rows = [[*(one[name] for name in columns), in_words(one)] for one in documents]
        print_table((*columns, "held to"), rows)


@key.command("revoke")
@click.argument("access_key")
@data_option
def revoke(access_key: str) -> None:
    """Close ACCESS_KEY for good."""

    async def work(desk: Desk) -> None:
        act = as_operator("revoke an access key")
        async with desk.acting("weir_gateway", act) as connection:
            act.subject, act.detail = await revoke_key(connection, access_key, now_us=desk.now_us), access_key

    at_desk(work)
    say(f"{access_key} is closed; gateways hear of it within seconds")


@click.command("login-link")
@click.argument("member")
@json_option
@data_option
def login_link(member: str, as_json: bool) -> None:
    """A one-time link with which MEMBER enters the portal."""

    async def work(desk: Desk) -> dict[str, object]:
        async with desk.connected("weir_meter") as connection:
            found = await find_member(connection, member)
        minutes = desk.billing.login_link_ttl_minutes
        link = await make_login_link(
            desk.dsn, found.id, portal_url=_portal_url(desk), ttl_minutes=minutes, now_us=desk.now_us,
            timeout_s=desk.meter.database_timeout_s,
        )  # fmt: skip
        await desk.note(
            "weir_meter", as_operator("make a one-time link to a member's pages", subject=found.id)
        )
        return {"member": found.name, "login_link": link, "valid_minutes": minutes}

    made = at_desk(work)
    if as_json:
        print_json(made)
    else:
        say(str(made["login_link"]))
        say(f"Valid once, for {made['valid_minutes']} minutes.")


def _portal_url(desk: Desk) -> str:
    if desk.billing.portal_url:
        return desk.billing.portal_url
    if desk.running is None:
        raise DataRefused("the portal does not run, so there is nothing to log in to; start `weir up` first")
    url = desk.running.facts.get("portal_url")
    if not url:
        raise DataRefused(
            "no portal runs here, and portal_url is not set; ask the machine where the portal is"
        )
    return str(url)
