"""weir capital notice: what each member is told of an allocation, and the evidence that it reached them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from billing.notices import run as notice_run
from billing.notices.notice import State, notice_text
from billing.notices.run import Made
from billing.notices.store import Kept, Step
from billing.portal import store as portal_store
from billing.tongue import SOURCE, speaking
from deploy.commands.options import data_option, json_option
from deploy.desk import Desk, as_treasurer, at_desk
from deploy.instants import instant_text
from deploy.output import number_of, print_json, print_table, say
from deploy.progress import work_bar
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.store import find_member, members

FILE_BYTES_MAX = 512 * 1024 * 1024
STATES = tuple(state.value for state in State if state is not State.CREATED)


@click.group()
def notice() -> None:
    """Notices of an allocation. A credit on the books that nobody was told of is none."""


@notice.command("make")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--texts",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What all notices say alike, where FILE is a closing's own document.",
)
@click.option(
    "--rule-set",
    metavar="ID",
    help="us-selc, es, …; that in force for the year if not given, and plain where none was chosen.",
)
@click.option("--trial", is_flag=True, help="Check everything and keep nothing.")
@json_option
@data_option
def make(file: Path, texts: Path | None, rule_set: str | None, trial: bool, as_json: bool) -> None:
    """Make every member's notice from the year's allocations in FILE. It sends nothing."""
    document = read_json(file) if texts is None else {**read_json(file), **read_json(texts)}

    async def work(desk: Desk) -> Made:
        act = as_treasurer(f"make notices of allocation from {file.name}")
        act.nothing = trial
        async with desk.acting("weir_office", act) as connection:
            rules = await notice_run.rules_of(connection, document, rule_set)
            return await notice_run.make(connection, document, rules, trial=trial, now_us=desk.now_us)

    made = at_desk(work)
    if as_json:
        print_json(
            {"year": made.year, "notices": made.count, "act": made.act, "before": made.before, "trial": trial}
        )
    elif made.before:
        say(f"{number_of(made.count, 'notice', 'notices')} of {made.year} made before, in the same words")
    elif trial:
        say(f"{number_of(made.count, 'notice', 'notices')} of {made.year} could be made; none was")
    else:
        say(f"{number_of(made.count, 'notice', 'notices')} of {made.year} made; none is sent yet")


@notice.command("show")
@click.argument("member")
@click.argument("year", type=int)
@json_option
@data_option
def show(member: str, year: int, as_json: bool) -> None:
    """MEMBER's notice of YEAR in the language they chose, and what happened to it."""

    async def work(desk: Desk) -> tuple[Kept, list[Step], str]:
        async with desk.connected("weir_billing") as connection:
            found = await find_member(connection, member)
            (one,) = await notice_run.kept(connection, year, found.id)
            language = await portal_store.language(connection, found.id)
            return one, await notice_run.history(connection, year, found.id), language or SOURCE

    one, steps, language = at_desk(work)
    document = notice_run.document_of(one)
    if as_json:
        print_json({**document, "digest": one.digest, "made": instant_text(one.made_us), "state": one.state.value,
                    "steps": [{"state": s.state.value, "how": s.how, "evidence": s.evidence,
                               "at": instant_text(s.at_us)} for s in steps]})  # fmt: skip
        return
    with speaking(language):
        click.echo(notice_text(document), nl=False)
    say(f"Digest: {one.digest}")
    rows = [(instant_text(s.at_us), s.state.value, s.how, s.evidence) for s in steps]
    say("")
    print_table(("at", "state", "how", "evidence"), [(instant_text(one.made_us), "created", "", ""), *rows])


@notice.command("mark")
@click.argument("state", type=click.Choice(STATES))
@click.argument("year", type=int)
@click.argument("member", nargs=-1)
@click.option("--all", "everybody", is_flag=True, help="Every notice of the year that can come to it.")
@click.option("--how", required=True, help="E.g. letter, email.")
@click.option("--evidence", required=True, help="What proves it: a receipt's number, a server's answer.")
@json_option
@data_option
def mark(
    state: str, year: int, member: tuple[str, ...], everybody: bool, how: str, evidence: str, as_json: bool
) -> None:
    """Note that MEMBERs' notices of YEAR were sent, delivered or failed, with the evidence."""
    if everybody == bool(member):
        raise Refusal("name members, or ask for --all")

    async def work(desk: Desk) -> int:
        async with desk.acting(
            "weir_office", as_treasurer(f"note that notices of {year} are {state}")
        ) as connection:
            wanted = [(await find_member(connection, name)).id for name in member]
            with work_bar("noting") as tell:
                return await notice_run.step(
                    connection, year, None if everybody else wanted, state=State(state), how=how,
                    evidence=evidence, now_us=desk.now_us, tell=tell,
                )  # fmt: skip

    count = at_desk(work)
    if as_json:
        print_json({"year": year, "state": state, "notices": count})
    else:
        say(f"{number_of(count, 'notice', 'notices')} of {year} {state}")


@notice.command("list")
@click.argument("year", type=int)
@click.option("--state", type=click.Choice(["created", *STATES]), help="Only these.")
@json_option
@data_option
def list_(year: int, state: str | None, as_json: bool) -> None:
    """The notices of YEAR and how far each has come."""

    async def work(desk: Desk) -> tuple[dict[MemberId, str], list[Kept]]:
        async with desk.connected("weir_billing") as connection:
            names = {one.id: one.name for one in await members(connection)}
            return names, await notice_run.kept(connection, year)

    names, found = at_desk(work)
    counts = {one.value: sum(kept.state is one for kept in found) for one in State}
    chosen = [one for one in found if state is None or one.state.value == state]
    if as_json:
        print_json({"year": year, "counts": counts, "notices": [
            {"member": names[one.member], "state": one.state.value, "since": instant_text(one.since_us),
             "digest": one.digest} for one in chosen]})  # fmt: skip
        return
    rows = [(names[one.member], one.state.value, instant_text(one.since_us)) for one in chosen]
    print_table(("member", "state", "since"), rows)
    say(", ".join(f"{count:,} {name}" for name, count in counts.items()))


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object whose numbers are exact: a decimal number without quotes is refused. Raises Refusal."""

    def inexact(text: str) -> None:
        raise Refusal(
            f"{file}: {text[:40]} stands without quotes; write amounts in quotes, so that they stay exact"
        )

    try:
        if file.stat().st_size > FILE_BYTES_MAX:
            raise Refusal(f"{file} is larger than {FILE_BYTES_MAX} bytes")
        found = json.loads(file.read_text("utf-8"), parse_float=inexact, parse_constant=inexact)
    except UnicodeDecodeError:
        raise Refusal(f"{file} is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise Refusal(f"{file} is not JSON: {error}") from None
    except OSError as error:
        raise Refusal(f"{file} cannot be read: {error.strerror}") from None
    if not isinstance(found, dict):
        raise Refusal(f"{file}: a JSON object is needed")
    return found
