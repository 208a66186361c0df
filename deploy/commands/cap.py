"""weir member cap: what members allow themselves; and how commands tell of caps."""

from __future__ import annotations

from dataclasses import replace

import click

from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_operator, at_desk
from deploy.output import print_json, print_table, say
from meter.cap_store import caps, sent_in, set_caps, stored_by
from meter.caps import NO_CAPS, Cap, Caps, caps_text, check_caps, notices
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.sizes import limit_text, parse_limit
from meter.store import find_member
from meter.window import Month


@click.command("cap")
@click.argument("name")
@click.option("--egress-soft", metavar="SIZE", help="Warn once so much was sent in a month (80GB).")
@click.option(
    "--egress-hard", metavar="SIZE", help="Refuse downloads and lists once so much was sent in a month."
)
@click.option("--storage-soft", metavar="SIZE", help="Warn once so much is stored.")
@click.option("--storage-hard", metavar="SIZE", help="Refuse writes that would store more.")
@json_option
@data_option
def cap(
    name: str, egress_soft: str | None, egress_hard: str | None, storage_soft: str | None,
    storage_hard: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Set NAME's own caps; 'none' removes one, and one that is not given stays. Members do it in the portal."""
    if (egress_soft, egress_hard, storage_soft, storage_hard) == (None, None, None, None):
        raise Refusal(
            "name at least one cap to set, such as --egress-hard 100GB; `weir member show` shows them"
        )

    async def work(desk: Desk) -> Caps:
        act = as_operator("set a member's own caps")
        async with desk.acting("weir_meter", act) as connection:
            found = await find_member(connection, name)
            act.subject = found.id
            known = await caps_of(connection, found.id)
            wanted = Caps(
                changed(known.egress, soft=egress_soft, hard=egress_hard),
                changed(known.storage, soft=storage_soft, hard=storage_hard),
            )
            check_caps(wanted)
            await set_caps(connection, found.id, wanted, now_us=desk.now_us)
            act.detail = caps_text(wanted)
        return wanted

    told = at_desk(work)
    if as_json:
        print_json({"name": name, **cap_document(told)})
        return
    for key, size in cap_document(told).items():
        say(f"{key.removesuffix('_bytes').replace('_', ' ')}: {limit_text(size)}")
    say("gateways hear of it within seconds")


def changed(known: Cap, *, soft: str | None, hard: str | None) -> Cap:
    """The cap with what was given in the place of what was known. Raises BadSize."""
    if soft is not None:
        known = replace(known, soft=parse_limit(soft))
    return known if hard is None else replace(known, hard=parse_limit(hard))


async def caps_of(connection: Connection, member: MemberId) -> Caps:
    """One member's caps."""
    return (await caps(connection, member=member)).get(member, NO_CAPS)


def cap_document(told: Caps) -> dict[str, int | None]:
    """Caps as JSON, in bytes; null: none."""
    return {
        "egress_soft_bytes": told.egress.soft,
        "egress_hard_bytes": told.egress.hard,
        "storage_soft_bytes": told.storage.soft,
        "storage_hard_bytes": told.storage.hard,
    }


async def cap_use(connection: Connection, member: MemberId, *, now_us: int) -> dict[str, object]:
    """A member's caps and how near they are, as JSON; warnings are sentences, the worst first."""
    told, month = await caps_of(connection, member), Month.of(now_us)
    sent = (await sent_in(connection, [member], month))[member]
    stored = (await stored_by(connection, [member]))[member]
    return {
        **cap_document(told),
        "sent_this_month_bytes": sent,
        "stored_bytes": stored,
        "egress_percent": told.egress.percent(sent),
        "storage_percent": told.storage.percent(stored),
        "warnings": [one.sentence for one in notices(told, sent=sent, stored=stored, month=month)],
    }


def print_cap_use(told: object) -> None:
    """The caps that are set, and what to look out for; nothing for who has none."""
    assert isinstance(told, dict)
    rows = [
        (f"{kind}, {hardness} cap", told[f"{kind}_{hardness}_bytes"])
        for kind in ("egress", "storage")
        for hardness in ("soft", "hard")
        if told[f"{kind}_{hardness}_bytes"] is not None
    ]
    if not rows:
        return
    say("")
    print_table(("own caps", "bytes"), rows, numbers=("bytes",))
    for warning in told["warnings"]:
        say(f"! {warning}")
