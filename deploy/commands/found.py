"""weir found: founders who are no accountants and no lawyers, from nothing to a co-op that runs."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from billing.charges.tariff import DEFAULT_TARIFF, PRICED, UNITS, WORDS
from billing.founding.answers import Answers, parse_file, read_answers
from billing.founding.budget import budget
from billing.founding.papers import too_few, weights_wanting
from billing.settings import BillingSettings
from billing.statements.pdf import IS_THERE
from billing.tongue import LANGUAGES
from deploy.commands.options import data_option, json_option
from deploy.commands.tariff import read_text
from deploy.desk import bring_up_to_date, opened
from deploy.found.asking import asked, language_of_terminal
from deploy.found.keeping import Kept, finish, keep, kept, refuse_founded
from deploy.found.papers import place_of, write_papers
from deploy.found.steps import RESOLUTION, carry_out, steps
from deploy.founding import login_link
from deploy.output import print_json, print_table, say
from deploy.progress import bar
from deploy.settings import DeploySettings, read
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.window import Month

EXAMPLE = Path(__file__).parents[1].joinpath("found", "example.toml")
PAPERS = "founding-papers"
FOUNDER_PARTS = ("name", "email", "class", "shares", "offices")


@dataclass(frozen=True, slots=True)
class Founded:
    """What was done."""

    answers: Answers
    numbers: Mapping[str, str]
    """Founder → number in the register."""
    links: Mapping[str, str]
    resolution: str
    papers: Sequence[Path]
    left_out: Sequence[str]
    """Papers without a PDF, in sentences."""


@click.command()
@click.option(
    "--answers", "file", type=click.Path(path_type=Path), metavar="FILE", help="TOML, as --example shows it."
)
@click.option("--example", is_flag=True, help="Print a file of answers to fill in, and do nothing else.")
@click.option("--name", help="What the co-op is called.")
@click.option("--rule-set", metavar="ID", help="By which rules its years are closed: `weir ruleset list`.")
@click.option(
    "--language", type=click.Choice(list(LANGUAGES)), help="Of the papers; that of the portal if not given."
)
@click.option("--currency", metavar="CODE", help="In which the books are kept, as EUR.")
@click.option("--begin", metavar="YYYY-MM", help="The month the books begin; the running one if not given.")
@click.option("--par", metavar="AMOUNT", help="What one share is worth.")
@click.option(
    "--founder",
    "founders",
    multiple=True,
    metavar="NAME,E-MAIL[,CLASS[,SHARES[,OFFICE+OFFICE]]]",
    help="A founder; may be repeated.",
)
@click.option(
    "--papers",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help=f"Where the founding papers go; {PAPERS} in the data directory.",
)
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@json_option
@data_option
def found(
    file: Path | None, example: bool, name: str | None, rule_set: str | None, language: str | None, currency: str | None,
    begin: str | None, par: str | None, founders: tuple[str, ...], papers: Path | None, only_plan: bool, yes: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Found a co-op: members, shares, rules, prices, offices, and the papers for the founding meeting.

    Drafts, no legal advice. Killed half-way and called again, it goes on and does nothing twice.
    """
    if example:
        click.echo(EXAMPLE.read_text("utf-8"), nl=False)
        return
    data = read(DeploySettings).data.absolute()
    refuse_founded(data)
    given = {} if file is None else parse_file(read_text(file))
    given |= _options(name, rule_set, language, currency, begin, par, founders)
    begun = kept(data)
    now_us = time.time_ns() // 1000 if begun is None else begun.began_us
    document = _document(given, begun, now_us=now_us, data=data, as_json=as_json)
    answers = read_answers(document, example=DEFAULT_TARIFF.read_text("utf-8"), now_us=now_us)
    plan = begun or Kept(document, now_us)
    if not as_json:
        show_plan(answers, plan, data, is_going_on=begun is not None)
    if only_plan:
        if as_json:
            print_json(plan_document(answers, plan, data))
        return
    _agree(yes=yes, as_json=as_json)
    directory = data / PAPERS if papers is None else papers.absolute()
    done = asyncio.run(_found(data, document, answers, now_us=now_us, papers=directory))
    if as_json:
        print_json(document_of(done, data))
    else:
        show(done, data)


def _options(
    name: str | None, rule_set: str | None, language: str | None, currency: str | None, begin: str | None, par: str | None,
    founders: tuple[str, ...],
) -> dict[str, object]:  # fmt: skip
    told: dict[str, object | None] = {
        "name": name, "rule_set": rule_set, "language": language, "currency": currency, "begin": begin,
        "share": None if par is None else {"par": par},
        "founder": [_founder(one) for one in founders] or None,
    }  # fmt: skip
    return {key: value for key, value in told.items() if value is not None}


def _founder(text: str) -> dict[str, object]:
    """A founder as one option says it."""
    parts = text.split(",")
    if not 2 <= len(parts) <= len(FOUNDER_PARTS):
        raise Refusal(f"founder: '{text[:60]}' is not NAME,E-MAIL[,CLASS[,SHARES[,OFFICE+OFFICE]]]")
    told: dict[str, object] = dict(zip(FOUNDER_PARTS, (one.strip() for one in parts), strict=False))
    if "shares" in told:
        shares = str(told["shares"])
        if not (shares.isascii() and shares.isdecimal()):
            raise Refusal(f"founder.shares: '{shares[:20]}' is no whole number of shares")
        told["shares"] = int(shares)
    if "offices" in told:
        told["offices"] = [one for one in str(told["offices"]).split("+") if one]
    return told


def _document(
    given: dict[str, object], begun: Kept | None, *, now_us: int, data: Path, as_json: bool
) -> Mapping[str, object]:
    """The answers: those a founding was begun with here, else those given, asked for where somebody can answer.

    The language is written down with them, so that papers made again after a kill are the same whatever is set by then.
    """
    if begun is not None:
        if given and Kept(_with_language(given, begun.document), begun.began_us).sha256 != begun.sha256:
            raise Refusal(
                f"a founding was begun in {data} with other answers; `weir found` without any goes on with those"
            )
        return begun.document
    wanting = [key for key in ("name", "rule_set", "currency", "share", "founder") if key not in given]
    portal = {"language": read(BillingSettings).portal_language}
    if not wanting:
        return _with_language(given, portal)
    if as_json or not sys.stdin.isatty():
        raise Refusal(
            f"answers: {', '.join(wanting)} {'is' if len(wanting) == 1 else 'are'} missing, and nobody can be asked"
            " here; `weir found --example` prints a file to fill in for --answers"
        )
    language = language_of_terminal(os.environ) or portal["language"]
    return asked(given, present=str(Month.of(now_us)), language=language)


def _with_language(given: Mapping[str, object], chosen: Mapping[str, object]) -> dict[str, object]:
    """The answers with the language that was chosen, where they name none themselves."""
    return {"language": chosen["language"], **given} if "language" in chosen else dict(given)


def _agree(*, yes: bool, as_json: bool) -> None:
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        raise Refusal(
            "nobody can be asked here whether it shall be done; look at it with --plan, then add --yes"
        )
    if not click.confirm("Shall it be done?"):
        raise click.Abort


async def _found(
    data: Path, document: Mapping[str, object], answers: Answers, *, now_us: int, papers: Path
) -> Founded:
    own = keep(data, document, now_us=now_us, timeout_s=read(DeploySettings).lock_timeout_s)
    async with opened() as desk:
        if desk.meter.database_url:
            await bring_up_to_date(desk.dsn, desk.meter)  # of our own it was done when it was opened
        with bar("founding", total=len(list(steps(answers, own)))) as advance:
            done = await carry_out(desk, answers, own, advance)
        numbers = {one.name: done[f"member {one.name}"] for one in answers.founders}
        written, left_out = await write_papers(desk, answers, own, papers, resolution=done[RESOLUTION])
        portal_url = where_the_portal_will_be(desk.deploy, desk.billing)
        links = {}
        for name, number in numbers.items() if portal_url else ():
            links[name] = await login_link(
                desk.dsn, MemberId(int(number)), portal_url=portal_url, now_us=desk.now_us,
                ttl_minutes=desk.deploy.founder_link_ttl_minutes, timeout_s=desk.meter.database_timeout_s,
            )  # fmt: skip
    finish(data)
    return Founded(answers, numbers, links, done[RESOLUTION], written, left_out)


def where_the_portal_will_be(deploy: DeploySettings, billing: BillingSettings) -> str:
    """The address in sign-in links before anything runs; empty where a free port is taken at the start."""
    if billing.portal_url:
        return billing.portal_url
    if not deploy.portal_port:
        return ""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(deploy.portal_host, deploy.portal_host)  # noqa: S104  read, not listened on
    return f"http://[{host}]:{deploy.portal_port}" if ":" in host else f"http://{host}:{deploy.portal_port}"


def warnings(answers: Answers) -> list[str]:
    """What founders should know before they say yes; none of it stops them."""
    place = place_of(answers.rule_set)
    told = (
        too_few(answers, place.founding),
        weights_wanting(answers, place.rules),
        "" if IS_THERE else "Papers are written as Markdown alone: PDF needs the extra `pdf`.",
    )
    return [one for one in told if one]


def show_plan(answers: Answers, own: Kept, data: Path, *, is_going_on: bool) -> None:
    """What will be done, for people."""
    place, made = place_of(answers.rule_set), budget(answers)
    if is_going_on:
        say(f"A founding of {answers.name} was begun here; it goes on with the same answers.")
    say(
        f"{answers.name}: {place.rules.name}, books in {answers.currency} from {answers.begin}, data in {data}"
    )
    say(f"The papers and the resolution are in {LANGUAGES[answers.language]} ({answers.language}).")
    say("")
    print_table(
        ("", "what will be done"), [(n, one.words) for n, one in enumerate(steps(answers, own), start=1)]
    )
    say("")
    whose = (
        "your own" if answers.has_own_prices else "the shipped example's; hold them against your own invoices"
    )
    say(
        f"The first prices are {whose}. At cost: what they bring in above the costs goes back at the year's end."
    )
    print_table(
        ("service", "unit", "price"),
        [
            (WORDS[one], UNITS[one], f"{answers.tariff.price_text(one)} {answers.currency}")
            for one in PRICED
            if one in answers.tariff.prices
        ],
        numbers=("price",),
    )
    say(made.sentence())
    for one in warnings(answers):
        say(f"Note: {one}")
    say("Drafts, no legal advice: have the papers read by somebody who knows the law of your place.")


def plan_document(answers: Answers, own: Kept, data: Path) -> dict[str, object]:
    """The plan as JSON; amounts in minor units."""
    made = budget(answers)
    return {
        "name": answers.name,
        "rule_set": answers.rule_set,
        "language": answers.language,
        "currency": answers.currency,
        "begin": str(answers.begin),
        "data": str(data),
        "steps": [{"step": one.name, "words": one.words} for one in steps(answers, own)],
        "first_year": {
            "months": len(made.months),
            "income_minor": made.income_minor,
            "costs_minor": made.costs_minor,
            "result_minor": made.result_minor,
        },
        "notes": warnings(answers),
    }


def document_of(done: Founded, data: Path) -> dict[str, object]:
    """What was done as JSON. It holds one-time links: whoever has one signs in as that member."""
    return {
        "name": done.answers.name,
        "rule_set": done.answers.rule_set,
        "language": done.answers.language,
        "currency": done.answers.currency,
        "begin": str(done.answers.begin),
        "data": str(data),
        "resolution": done.resolution,
        "members": [
            {"id": int(number), "name": name, "login_link": done.links.get(name)}
            for name, number in done.numbers.items()
        ],
        "papers": [str(one) for one in done.papers],
        "notes": [*warnings(done.answers), *done.left_out],
    }


def show(done: Founded, data: Path) -> None:
    """What was done, for people."""
    say("")
    say(
        f"{done.answers.name} is founded, by resolution {done.resolution}. The papers are in {done.papers[0].parent}"
    )
    for one in done.left_out:
        say(f"Note: {one}")
    if done.links:
        minutes = read(DeploySettings).founder_link_ttl_minutes
        say(f"Each founder signs in once with a link, within {minutes // 60} h, as soon as Weir runs:")
        print_links(done.links)
    else:
        say("`weir login-link NAME` makes each founder's first sign-in link, once Weir runs.")
    say(f"Start it: weir up --data {data}")


def print_links(links: Mapping[str, str]) -> None:
    """One a line and never broken: they are copied."""
    width = max(map(len, links))
    for name, link in links.items():
        say(f"  {name:<{width}}  {link}")
