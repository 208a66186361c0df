"""weir proposal: what is proposed to the members, opened to the vote and counted."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

import click

from billing.governance.decisions import ResolutionKind
from billing.voting import run, store
from billing.voting.document import count_document, recount
from billing.voting.election import Elected
from billing.voting.poll import Poll
from billing.voting.proposal import Attachment, Comment, Proposal, slate, withdrawal, wording
from deploy.commands.options import data_option, json_option
from deploy.commands.tariff import read_text
from deploy.desk import Desk, as_board, at_desk
from deploy.instants import instant_text, parse_end, parse_instant
from deploy.output import print_json, print_table, say
from meter.refusal import Refusal
from meter.store import find_member

LISTED_MAX = 10_000
text_option = click.option(
    "--text",
    "file",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="What it says, as text.",
)
calc_option = click.option(
    "--calc-hash", metavar="SHA256", help="The digest of the calculation that is to be approved."
)


def election_options(command: Any) -> Any:
    """Options of an election."""
    for one in (
        click.option("--option", multiple=True, metavar="NAME", help="Of an election: who or what can be chosen; once for each."),
        click.option("--seats", default="1", help="Of an election: how many are elected; 1 if not given."),
    ):  # fmt: skip
        command = one(command)
    return command


@click.group()
def proposal() -> None:
    """Proposals to the members: made, opened to the vote, counted; `weir vote` has the results."""


@proposal.command("add")
@click.argument("title")
@text_option
@click.option(
    "--kind", type=click.Choice([one.value for one in ResolutionKind]), default="other", help="About what."
)
@calc_option
@click.option("--member", metavar="MEMBER", help="Who makes it; the board if nobody is named.")
@election_options
@json_option
@data_option
def add(
    title: str, file: Path, kind: str, calc_hash: str | None, member: str | None, option: tuple[str, ...],
    seats: str, as_json: bool,
) -> None:  # fmt: skip
    """Propose something under TITLE, or an election; prints the proposal's number."""
    text, chosen = read_text(file), slate(seats=seats, options=option) if option else None

    async def work(desk: Desk) -> int:
        said = wording(
            title=title,
            body=text,
            calc_hash=calc_hash,
            who=getpass.getuser(),
            recorded_us=desk.now_us,
            slate=chosen,
        )
        async with desk.acting("weir_office", as_board("enter a proposal")) as connection:
            own = None if member is None else (await find_member(connection, member)).id
            return await run.propose(
                connection, ResolutionKind(kind), said, member=own, settings=desk.billing
            )

    number = at_desk(work)
    if as_json:
        print_json({"proposal": number})
    else:
        say(f"entered as proposal {number}")


@proposal.command("revise")
@click.argument("number", type=int)
@click.argument("title")
@text_option
@calc_option
@election_options
@data_option
def revise(
    number: int, title: str, file: Path, calc_hash: str | None, option: tuple[str, ...], seats: str
) -> None:
    """Put proposal NUMBER in other words, until it is opened; what it said before stays in the books."""
    text, chosen = read_text(file), slate(seats=seats, options=option) if option else None

    async def work(desk: Desk) -> None:
        said = wording(
            title=title,
            body=text,
            calc_hash=calc_hash,
            who=getpass.getuser(),
            recorded_us=desk.now_us,
            slate=chosen,
        )
        async with desk.acting(
            "weir_office", as_board(f"put proposal {number} in other words")
        ) as connection:
            await run.reword(connection, number, said, member=None)

    at_desk(work)
    say(f"proposal {number} says so now")


@proposal.command("attach")
@click.argument("number", type=int)
@click.argument("file", type=click.Path(path_type=Path))
@data_option
def attach(number: int, file: Path) -> None:
    """Keep FILE beside proposal NUMBER: PDF, PNG, JPEG, text or CSV."""

    async def work(desk: Desk) -> int:
        try:
            with file.open("rb") as opened:
                content = opened.read(desk.billing.proposal_attachment_bytes_max + 1)
        except OSError as error:
            raise Refusal(f"attachment: {file} cannot be read: {error.strerror}") from None
        async with desk.acting("weir_office", as_board(f"attach a paper to proposal {number}")) as connection:
            return await run.attach(
                connection, number, name=file.name, content=content, member=None, who=getpass.getuser(),
                settings=desk.billing, now_us=desk.now_us,
            )  # fmt: skip

    say(f"attached to proposal {number} as number {at_desk(work)}")


@proposal.command("withdraw")
@click.argument("number", type=int)
@click.option(
    "--member", metavar="MEMBER", help="Who made it and takes it back; the board if nobody is named."
)
@click.option("--why", default="", help="Why, in a line.")
@data_option
def withdraw(number: int, member: str | None, why: str) -> None:
    """Take proposal NUMBER back, for who made it, until it is put to the vote; it stays to be read."""

    async def work(desk: Desk) -> None:
        act = as_board(f"take back proposal {number}, for who made it")
        async with desk.acting("weir_office", act) as connection:
            own = None if member is None else await find_member(connection, member)
            who = getpass.getuser() if own is None else own.name
            withdrawn = withdrawal(why=why, who=who, recorded_us=desk.now_us)
            await run.withdraw(connection, number, withdrawn, member=None if own is None else own.id)

    at_desk(work)
    say(f"proposal {number} is withdrawn")


@proposal.command("list")
@json_option
@data_option
def list_(as_json: bool) -> None:
    """All proposals, the newest first, and how far they are."""

    async def work(desk: Desk) -> list[tuple[Proposal, str]]:
        async with desk.connected("weir_billing") as connection:
            await run.settle_due(connection, now_us=desk.now_us)
            found = await store.proposals(connection, count_max=LISTED_MAX)
            numbers = [one.number for one in found]
            polls = await store.polls(connection, numbers)
            adopted = await store.adopted_ones(connection, numbers)
        return [
            (one, state(one, polls.get(one.number), adopted.get(one.number), now_us=desk.now_us))
            for one in found
        ]

    found = at_desk(work)
    if as_json:
        print_json(
            {
                "proposals": [
                    {"number": one.number, "kind": one.kind.value, "title": one.wording.title, "state": how}
                    for one, how in found
                ]
            }
        )
    else:
        rows = [(one.number, how, one.kind.value, one.wording.title) for one, how in found]
        print_table(("number", "state", "kind", "title"), rows, numbers=("number",))


def state(one: Proposal, poll: Poll | None, is_adopted: bool | None, *, now_us: int) -> str:
    """How far a proposal is, in a word or two."""
    if poll is None:
        return "in discussion" if one.withdrawal is None else "withdrawn"
    if is_adopted is not None:
        return "adopted" if is_adopted else "not adopted"
    if now_us < poll.opens_us:
        return f"opens {instant_text(poll.opens_us)}"
    return f"open until {instant_text(poll.closes_us)}" if now_us < poll.closes_us else "to be counted"


@proposal.command("show")
@click.argument("number", type=int)
@json_option
@data_option
def show(number: int, as_json: bool) -> None:
    """Proposal NUMBER with its papers, its discussion and its vote."""

    async def work(desk: Desk) -> dict[str, object]:
        async with desk.connected("weir_billing") as connection:
            await run.settle_due(connection, now_us=desk.now_us)
            found = await run.find(connection, number)
            papers = await store.attachments(connection, number)
            comments = await store.comments(connection, number)
            poll = (await store.polls(connection, [number])).get(number)
            stored = await store.result(connection, number)
            resolution = await store.resolution_of(connection, number)
            cast, roll = await store.turnout(connection, number)
        is_adopted = None if stored is None else stored.is_adopted
        told = document(found, papers, comments, state(found, poll, is_adopted, now_us=desk.now_us))
        if poll is not None:
            told |= {
                "ballot": "secret" if poll.is_secret else "open",
                "record": instant_text(poll.record_us),
                "opens": instant_text(poll.opens_us),
                "closes": instant_text(poll.closes_us),
                "majority": "the most votes" if poll.terms.majority is None else poll.terms.majority.words,
                "voted": cast,
                "eligible": roll,
                "poll_digest": poll.digest,
            }
        if stored is not None:
            told |= {"result": count_document(recount(stored.document).outcome), "digest": stored.digest}
        return told | {"resolution": resolution}

    told = at_desk(work)
    if as_json:
        print_json(told)
    else:
        print_table(("", ""), [(name, value) for name, value in told.items() if value not in (None, [])])


def document(one: Proposal, papers: list[Attachment], comments: list[Comment], how: str) -> dict[str, object]:
    """A proposal as JSON."""
    return {
        "number": one.number,
        "kind": one.kind.value,
        "state": how,
        "title": one.wording.title,
        "text": one.wording.body,
        "calc_hash": one.wording.calc_hash,
        "member": None if one.member is None else int(one.member),
        "who": one.who,
        "recorded": instant_text(one.recorded_us),
        "seats": None if one.wording.slate is None else one.wording.slate.seats,
        "options": [] if one.wording.slate is None else list(one.wording.slate.options),
        "wordings": one.wordings,
        "withdrawn": None if one.withdrawal is None else instant_text(one.withdrawal.recorded_us),
        "withdrawn_why": None if one.withdrawal is None else one.withdrawal.why,
        "attachments": [f"{paper.place}: {paper.name}, {paper.size_bytes} bytes, SHA-256 {paper.sha256}" for paper in papers],
        "discussion": [f"{said.place}, {said.name}: {said.body}" for said in comments],
    }  # fmt: skip


@proposal.command("open")
@click.argument("number", type=int)
@click.option(
    "--closes",
    required=True,
    metavar="T",
    help="When the vote ends: an instant, UTC (a date means the start of that day), or a span like 14d.",
)
@click.option("--opens", metavar="T", help="When it begins, UTC; now if not given.")
@click.option(
    "--record",
    metavar="T",
    help="The register of this instant, UTC, says who votes (a date means the start of that day); now if not given.",
)
@click.option("--open-ballot", is_flag=True, help="Everybody will see who voted how; else it is secret.")
@json_option
@data_option
def open_(
    number: int, closes: str, opens: str | None, record: str | None, open_ballot: bool, as_json: bool
) -> None:
    """Put proposal NUMBER to the vote; its words, its terms and its roll never change afterwards."""

    async def work(desk: Desk) -> Poll:
        now = desk.now_us
        asked = run.Asked(
            is_secret=not open_ballot,
            record_us=now if record is None else parse_instant(record),
            opens_us=now if opens is None else parse_end(opens, now_us=now),
            closes_us=parse_end(closes, now_us=now),
        )
        async with desk.acting("weir_office", as_board(f"open the vote on proposal {number}")) as connection:
            return await run.open_poll(connection, number, asked, who=getpass.getuser(), now_us=now)

    poll = at_desk(work)
    roll = sum(poll.terms.eligible.values())
    if as_json:
        print_json({"proposal": number, "eligible": dict(poll.terms.eligible), "poll_digest": poll.digest})
    else:
        say(f"proposal {number} is voted on until {instant_text(poll.closes_us)} by {roll} on the roll")


@proposal.command("close")
@click.argument("number", type=int)
@json_option
@data_option
def close(number: int, as_json: bool) -> None:
    """Close the box of proposal NUMBER after its time, and count."""

    async def work(desk: Desk) -> store.StoredResult:
        async with desk.acting("weir_office", as_board(f"close the vote on proposal {number}")) as connection:
            return await run.settle(connection, number, now_us=desk.now_us)

    stored = at_desk(work)
    found = recount(stored.document).outcome
    if as_json:
        print_json({"proposal": number, **count_document(found), "digest": stored.digest})
    else:
        yes, no = (
            ("counted", "counted without a result")
            if isinstance(found, Elected)
            else ("adopted", "not adopted")
        )
        say(f"proposal {number} was {yes if found.is_adopted else no}: {found.why}")
