"""weir bucket: the buckets there are, and how much each may hold."""

from __future__ import annotations

import click

from deploy.commands.move import move
from deploy.commands.options import SIGNED, data_option, json_option
from deploy.desk import Desk, as_operator, at_desk
from deploy.instants import instant_text
from deploy.output import print_json, print_table, say
from gateway.store import buckets, limit_bucket
from meter.refusal import Refusal
from meter.sizes import limit_text, parse_limit
from meter.store import find_member
from meter.usage_store import stored_bytes_by_bucket


class NoSuchBucket(Refusal):
    """Nobody has a bucket of that name."""


@click.group()
def bucket() -> None:
    """Members' buckets."""


@bucket.command("list")
@click.argument("member", required=False)
@json_option
@data_option
def list_(member: str | None, as_json: bool) -> None:
    """All buckets, or those of MEMBER, with what they store as of the last counted change."""

    async def work(desk: Desk) -> list[dict[str, object]]:
        async with desk.connected("weir_meter") as connection:
            owner = None if member is None else (await find_member(connection, member)).id
            stored = await stored_bytes_by_bucket(connection)
        async with desk.connected("weir_gateway") as connection:
            found = await buckets(connection, owner=owner)
        return [
            {
                "name": one.name,
                "owner": one.owner_name,
                "engine": one.engine,
                "upstream_name": one.upstream_name or None,
                "created": instant_text(one.created_us),
                "stored_bytes": stored.get(one.id, 0),
                "limit_bytes": one.bytes_max,
            }
            for one in found
        ]

    told = at_desk(work)
    if as_json:
        print_json({"buckets": told})
    else:
        columns = ("name", "owner", "engine", "created", "stored_bytes", "limit_bytes")
        rows = [[one[name] for name in columns] for one in told]
        print_table(columns, rows, numbers=("stored_bytes", "limit_bytes"))


@bucket.command("limit", context_settings=SIGNED)
@click.argument("name")
@click.argument("size")
@json_option
@data_option
def limit(name: str, size: str, as_json: bool) -> None:
    """Let bucket NAME store at most SIZE (500MB, 10GB, 10GiB, 1000000), or 'none' for no limit."""
    bytes_max = parse_limit(size)

    async def work(desk: Desk) -> None:
        act = as_operator("limit what a bucket may store")
        async with desk.acting("weir_gateway", act) as connection:
            found = await buckets(connection, name=name)
            if not found:
                raise NoSuchBucket(f"there is no bucket named '{name}'; `weir bucket list` names them")
            await limit_bucket(connection, found[0].id, bytes_max)
            act.subject, act.detail = found[0].owner, f"{name}: {limit_text(bytes_max)}"

    at_desk(work)
    if as_json:
        print_json({"name": name, "limit_bytes": bytes_max})
    else:
        say(f"{name} has {limit_text(bytes_max)}; gateways hear of it within seconds")


bucket.add_command(move)
