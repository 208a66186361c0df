"""weir resolution: what the board or the members' meeting decided."""

from __future__ import annotations

import getpass
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from billing.documents import keep
from billing.governance import run as governance_run
from billing.governance import store as governance_store
from billing.governance.decisions import Body, Resolution, ResolutionKind, Votes
from billing.governance.typed import checked_digest
from billing.voting import run
from billing.voting.document import FILE_BYTES_MAX
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_board, at_desk
from deploy.instants import instant_text, parse_date
from deploy.output import print_json, print_table, say
from meter.refusal import Refusal


@click.group()
def resolution() -> None:
    """Decisions of the board and of the members' meeting; entered once and never changed."""


@resolution.command("add")
@click.argument("text")
@click.option("--body", type=click.Choice([one.value for one in Body]), required=True, help="Who decided.")
@click.option(
    "--kind", type=click.Choice([one.value for one in ResolutionKind]), required=True, help="About what."
)
@click.option("--date", "decided", required=True, metavar="DATE", help="The day it was decided.")
@click.option("--for", "in_favour", type=int, help="Votes for it; without a count nothing is said of votes.")
@click.option("--against", type=int, help="Votes against it.")
@click.option("--abstained", type=int, default=0, help="Votes that were held back.")
@click.option("--quorum", type=int, help="How many votes had to be cast.")
@click.option(
    "--document", "file", type=click.Path(path_type=Path), metavar="FILE", help="Kept with its SHA-256."
)
@click.option("--calc-hash", metavar="SHA256", help="The digest of the calculation that was decided on.")
@json_option
@data_option
def add(
    text: str, body: str, kind: str, decided: str, in_favour: int | None, against: int | None, abstained: int,
    quorum: int | None, file: Path | None, calc_hash: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Enter TEXT as decided; prints the id that other commands take, like 2026-3."""
    if (in_favour is None) != (against is None):
        raise Refusal("votes: give both --for and --against, or none of them")
    votes = None if in_favour is None or against is None else Votes(in_favour, against, abstained)
    digest = None if calc_hash is None else checked_digest(calc_hash)
    day = parse_date(decided, field="date")

    async def work(desk: Desk) -> Resolution:
        asked = Resolution(
            "", Body(body), ResolutionKind(kind), day, text, None, votes, quorum, digest, getpass.getuser(),
            desk.now_us,
        )  # fmt: skip
        act = as_board(f"enter a resolution of the {body} of {decided}")
        async with desk.acting("weir_office", act) as connection:
            await governance_run.check(connection, asked, now_us=desk.now_us)
            if file is not None:
                asked = replace(asked, document=keep(desk.data, file, bytes_max=desk.billing.paper_bytes_max))
            entered = await governance_run.enter(connection, asked)
            act.what = f"enter resolution {entered.id} of the {body}"
            return entered

    entered = at_desk(work)
    if as_json:
        print_json(document(entered))
    else:
        if entered.body is Body.BOARD and entered.kind is ResolutionKind.RULE_SET:
            say("warning: once a rule set is chosen, the members' meeting changes it, and not the board")
        say(f"entered as resolution {entered.id}")


@resolution.command("adopt")
@click.argument("number", type=int, metavar="PROPOSAL")
@json_option
@data_option
def adopt(number: int, as_json: bool) -> None:
    """Enter adopted PROPOSAL as the resolution it became, with its count and its ballots as the paper."""

    async def work(desk: Desk) -> Resolution:
        async with desk.acting(
            "weir_office", as_board(f"enter adopted proposal {number} as a resolution")
        ) as connection:
            asked = await run.resolution_for(connection, number, who=getpass.getuser(), now_us=desk.now_us)
            stored = await run.settle(connection, number, now_us=desk.now_us)
            with TemporaryDirectory() as place:
                paper = Path(place, f"vote-{number}.json")
                paper.write_text(stored.document, "utf-8")
                # However many voted, their ballots are kept.
                asked = replace(asked, document=keep(desk.data, paper, bytes_max=FILE_BYTES_MAX))
            return await run.adopt(connection, number, asked, now_us=desk.now_us)

    entered = at_desk(work)
    if as_json:
        print_json(document(entered))
    else:
        say(f"proposal {number} is resolution {entered.id}")


@resolution.command("list")
@click.option("--year", type=int, help="Only of this year.")
@json_option
@data_option
def list_(year: int | None, as_json: bool) -> None:
    """All resolutions, in order."""

    async def work(desk: Desk) -> list[Resolution]:
        async with desk.connected("weir_billing") as connection:
            return await governance_store.resolutions(connection, year=year)

    found = at_desk(work)
    if as_json:
        print_json({"resolutions": [document(one) for one in found]})
    else:
        rows = [(one.id, one.decided_on, one.body.value, one.kind.value, one.text) for one in found]
        print_table(("id", "date", "body", "kind", "text"), rows)


@resolution.command("show")
@click.argument("wanted", metavar="ID")
@json_option
@data_option
def show(wanted: str, as_json: bool) -> None:
    """One resolution, with its votes and its paper."""

    async def work(desk: Desk) -> Resolution:
        async with desk.connected("weir_billing") as connection:
            found = await governance_store.resolution(connection, wanted)
        if found is None:
            raise Refusal(f"there is no resolution '{wanted[:20]}'; `weir resolution list` shows them")
        return found

    told = document(at_desk(work))
    if as_json:
        print_json(told)
    else:
        print_table(("", ""), [(name, value) for name, value in told.items() if value is not None])


def document(one: Resolution) -> dict[str, object]:
    """A resolution as JSON."""
    return {
        "id": one.id,
        "body": one.body.value,
        "kind": one.kind.value,
        "date": one.decided_on.isoformat(),
        "text": one.text,
        "votes_for": None if one.votes is None else one.votes.in_favour,
        "votes_against": None if one.votes is None else one.votes.against,
        "votes_abstained": None if one.votes is None else one.votes.abstained,
        "quorum": one.quorum,
        "document": None if one.document is None else one.document.name,
        "document_sha256": None if one.document is None else one.document.sha256,
        "calc_hash": one.calc_hash,
        "who": one.who,
        "recorded": instant_text(one.recorded_us),
    }
