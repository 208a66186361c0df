"""weir acts: the log of what was done for the co-op, and whether it is whole."""

from __future__ import annotations

from dataclasses import dataclass

import click

from billing.acts import run, store
from billing.acts.act import Act
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, at_desk
from deploy.instants import instant_text
from deploy.output import number_of, print_json, print_table, say
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.store import find_member, members

DISAGREES = 1


@click.group()
def acts() -> None:
    """Every act in an office, by page or by command: who, what, to whom, when. Nothing is ever taken out."""


@acts.command("list")
@click.option("--member", metavar="MEMBER", help="Only what was done about this member.")
@click.option("--kind", metavar="WORDS", help="Only this command's, as 'bill close'.")
@click.option("--before", type=int, metavar="N", help="Before act N.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="So many at most."
)
@json_option
@data_option
def list_(member: str | None, kind: str | None, before: int | None, limit: int, as_json: bool) -> None:
    """The newest first, with what only those whom it is about are shown."""

    async def work(desk: Desk) -> tuple[list[Act], dict[MemberId, str]]:
        async with desk.connected("weir_billing") as connection:
            names = {one.id: one.name for one in await members(connection)}
            whose = None if member is None else (await find_member(connection, member)).id
            if kind is not None:
                await _check_kind(connection, kind)
            found = await store.acts(connection, before=before, subject=whose, kind=kind, count_max=limit)
            return found, names

    found, names = at_desk(work)
    told = [document(one, names) for one in found]
    if as_json:
        print_json({"acts": told})
    else:
        columns = ("number", "at", "who", "office", "what", "about", "outcome")
        print_table(columns, [[one[name] for name in columns] for one in told], numbers=("number",))


async def _check_kind(connection: Connection, kind: str) -> None:
    """Refuse words that are neither in the log nor a command's: an empty list would say that nothing was done."""
    if is_command(kind) or await store.acts(connection, kind=kind, count_max=1):
        return
    raise Refusal(
        f"no command is called '{kind}', and the log has no such act; `weir acts list` shows them, and `weir --help` all commands"
    )


def is_command(words: str) -> bool:
    """Whether `weir WORDS` is a command that does something."""
    context = click.get_current_context().find_root()
    command: click.Command | None = context.command
    for word in words.split():
        command = command.get_command(context, word) if isinstance(command, click.Group) else None
    return command is not None and not isinstance(command, click.Group)


@dataclass(frozen=True, slots=True)
class _Verified:
    number: int
    digest: str
    problems: list[str]


@acts.command("verify")
@json_option
@data_option
def verify(as_json: bool) -> None:
    """Work every digest out again, from the first act to the last."""

    async def work(desk: Desk) -> _Verified:
        async with desk.connected("weir_billing") as connection:
            chain, problems = await run.verify(connection)
        return _Verified(chain.number, chain.digest.hex(), problems)

    done = at_desk(work)
    if as_json:
        print_json(
            {
                "acts": done.number,
                "digest": done.digest,
                "agrees": not done.problems,
                "problems": done.problems,
            }
        )
    else:
        for sentence in done.problems:
            say(sentence)
        say(
            f"{number_of(done.number, 'act', 'acts')}{'' if done.problems else ': all agree'}; the last one's digest is {done.digest}"
        )
    if done.problems:
        raise SystemExit(DISAGREES)


def document(one: Act, names: dict[MemberId, str]) -> dict[str, object]:
    """An act as JSON."""
    return {
        "number": one.number,
        "at": instant_text(one.at_us),
        "who": one.actor.name,
        "office": one.office.value,
        "kind": one.kind,
        "what": one.what,
        "about": None if one.subject is None else names[one.subject],
        "detail": one.detail,
        "outcome": "done" if one.is_done else "refused",
        "digest": one.digest.hex(),
    }
