"""weir vote: results of votes, and how anybody counts them again."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from billing.voting import proof, run, store
from billing.voting.count import Outcome
from billing.voting.document import FILE_BYTES_MAX, Recount, count_document, recount
from billing.voting.election import Elected
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, at_desk
from deploy.output import print_json, print_table, say
from meter.refusal import Refusal

DISAGREES = 1


@click.group()
def vote() -> None:
    """Results of votes: shown, taken along, counted again. Members vote in the portal, and nobody for them."""


@vote.command("show")
@click.argument("number", type=int)
@json_option
@data_option
def show(number: int, as_json: bool) -> None:
    """The result of the vote on proposal NUMBER."""
    again = recount(_stored(number).document)
    if as_json:
        print_json({"proposal": number, **count_document(again.outcome), "digest": again.digest})
    else:
        _print(again)


@vote.command("export")
@click.argument("number", type=int)
@click.option(
    "--to", "file", type=click.Path(path_type=Path), metavar="FILE", help="Where to; else it is printed."
)
@data_option
def export(number: int, file: Path | None) -> None:
    """The result with every ballot, as it is published: its SHA-256 is the digest that members are told."""
    content = _stored(number).document.encode()
    if file is None:
        click.echo(content, nl=False)
        return
    try:
        file.write_bytes(content)
    except OSError as error:
        raise Refusal(f"to: {file} cannot be written: {error.strerror}") from None


def _stored(number: int) -> store.StoredResult:
    async def work(desk: Desk) -> store.StoredResult:
        async with desk.connected("weir_billing") as connection:
            return await run.settle(connection, number, now_us=desk.now_us)

    return at_desk(work)


@vote.command("recount")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--digest", "wanted", metavar="SHA256", help="The digest you were told; else only the count is checked."
)
@click.option("--receipt", metavar="RECEIPT", help="Also find this ballot, and say what it says.")
@json_option
@data_option
def recount_(file: Path, wanted: str | None, receipt: str | None, as_json: bool) -> None:
    """Count a published result again from its ballots; needs no co-op, no database and no network."""
    again = recount(_read(file))
    problems = list(again.problems)
    if wanted is not None and wanted != again.digest:
        problems.append(f"its digest is {again.digest}, and not the one you were told")
    own = None if receipt is None else _ballot(again, receipt)
    if receipt is not None and own is None:
        problems.append("no ballot has this receipt")
    if as_json:
        told = {**count_document(again.outcome), "digest": again.digest, "ballot": own, "problems": problems}
        print_json(told)
    else:
        _print(again)
        if own is not None:
            say(f"your ballot is there, and says: {own}")
        for one in problems:
            say(f"wrong: {one}")
        if not problems:
            say("agrees: the count is that of the ballots")
    sys.exit(DISAGREES if problems else 0)


def _ballot(again: Recount, receipt: str) -> str | None:
    asked = "".join(receipt.split()).lower()
    return next((one.says for one in again.ballots if one.receipt == asked), None)


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise Refusal(f"{file} is larger than any result, {FILE_BYTES_MAX} bytes")
        return content.decode("utf-8")
    except OSError as error:
        raise Refusal(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Refusal(f"{file} is no text") from None


def _print(again: Recount) -> None:
    found, poll = again.outcome, again.document["poll"]
    say(f"proposal {poll['proposal']}: {poll['title']}")
    if isinstance(found, Elected):
        _print_election(found)
    else:
        _print_sides(again, found)
    say(f"SHA-256 {again.digest}")


def _print_election(found: Elected) -> None:
    rows = [
        (
            one.place, one.name, one.all_votes, one.score,
            "elected" if one.place in found.elected else "level" if one.place in found.tied else "",
        )
        for one in sorted(found.standings, key=lambda one: (-one.score, one.place))
    ]  # fmt: skip
    print_table(("place", "name", "votes", "score", "outcome"), rows, numbers=("place", "votes", "score"))
    say(f"{'elected' if found.is_adopted else 'nobody elected'}: {found.why}")


def _print_sides(again: Recount, found: Outcome) -> None:
    rows = [
        (name, one.in_favour, one.against, one.abstained, again.document["poll"]["eligible"].get(name, 0))
        for name, one in found.tallies.items()
    ]
    columns = ("chamber", "for", "against", "abstained", "have a vote")
    print_table(columns, rows, numbers=columns[1:])
    say(f"{'adopted' if found.is_adopted else 'not adopted'}: {found.why}")


@vote.command("verify")
@json_option
@data_option
def verify(as_json: bool) -> None:
    """Count every result again, and hold it against box, roll, discussion and the result before it."""

    async def work(desk: Desk) -> list[str]:
        async with desk.connected("weir_billing") as connection:
            return await proof.verify(connection)

    problems = at_desk(work)
    if as_json:
        print_json({"problems": problems})
    else:
        for one in problems:
            say(f"wrong: {one}")
        if not problems:
            say("all results agree")
    sys.exit(DISAGREES if problems else 0)
