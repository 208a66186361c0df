"""**Spine** of a founding: its steps, in order, each in one transaction with the note that it is done.

A founding that was killed does what is not noted, and nothing twice. Each step is what a command of its own would do.
"""

from __future__ import annotations

import getpass
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass

from billing.acts import run as acts_run
from billing.acts.act import OFFICE_WORDS, Doing, Office
from billing.charges.tariff import tariff_toml
from billing.founding import store
from billing.founding.answers import Answers, Founder, Meeting, nothing_charged
from billing.founding.papers import resolution_text
from billing.founding.store import Begun
from billing.governance import run as governance_run
from billing.governance.decisions import Body, Resolution, ResolutionKind, Votes
from billing.register.operations import Operation, OperationKind
from billing.register.run import add_share_kind, change_particulars, enter_shares
from billing.rules.book import rule_set, rule_set_text
from billing.run import set_tariff
from billing.tongue import speaking
from deploy.desk import Desk, as_board, as_treasurer
from deploy.found.keeping import Kept
from deploy.founding import ensure_signing_key
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.store import add_member, count_members, find_member
from meter.usage import MemberClass
from meter.window import Month, to_datetime

OWNER = None
"""The register is changed by its owner alone."""
FOUNDING, RESOLUTION = "founding", "resolution"
NOTICES = "notices, statements, sign-in links"
Advance = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done, or is not."""

    name: str
    words: str
    """For the founders, before it is done."""
    role: str | None
    office: Callable[[str], Doing]
    work: Callable[[Connection, Doing, Mapping[str, str]], Awaitable[str]]
    """What it gives back is kept for later steps."""


def steps(answers: Answers, kept: Kept) -> Iterator[Step]:
    """All of them, in order."""
    entering = _Entering(answers, kept.began_us)
    yield Step(
        FOUNDING, f"begin the books of {answers.name}", "weir_office", as_board, _beginning(answers, kept)
    )
    if answers.begin > Month.of(kept.began_us):
        words = f"charge nothing until the books begin with {answers.begin}"
        yield Step("nothing charged before", words, "weir_office", as_treasurer, entering.nothing_before)
    words = f"put the first prices in force from {answers.begin} on, in {answers.currency}"
    yield Step("tariff", words, "weir_office", as_treasurer, entering.tariff)
    words = f"make the kind of shares {answers.share_kind}, each of {answers.par} {answers.currency}"
    yield Step("kind of shares", words, "weir_office", as_board, entering.share_kind)
    for one in answers.founders:
        words = f"enter {one.name} ({one.member_class.value}, {one.email}) into the register"
        yield Step(f"member {one.name}", words, OWNER, as_board, entering.member(one))
    for one in answers.founders:
        words = f"{one.name} subscribes {one.shares} share{'' if one.shares == 1 else 's'}"
        yield Step(f"shares {one.name}", words, "weir_office", as_board, entering.shares(one))
    words = f"enter the resolution of the founding meeting of {answers.meeting.held_on}"
    yield Step(RESOLUTION, words, "weir_office", as_board, entering.resolution)
    words = f"close years by the rule set {answers.rule_set} from {answers.from_year} on"
    yield Step("rule set", words, "weir_office", as_board, entering.rule_set)
    for one in answers.founders:
        for office in one.offices:
            words = f"make {one.name} {OFFICE_WORDS[office]}"
            yield Step(f"{office.value} {one.name}", words, OWNER, as_board, entering.office(one, office))


async def carry_out(desk: Desk, answers: Answers, kept: Kept, advance: Advance) -> dict[str, str]:
    """Do what is not done yet; what came of each step. Raises Refusal."""
    await ensure_signing_key(desk.dsn, desk.data, timeout_s=desk.meter.database_timeout_s)
    async with desk.connected("weir_billing") as connection:
        await _refuse_another(connection, kept)
        done = await store.steps(connection)
    for count, step in enumerate(steps(answers, kept), start=1):
        if step.name not in done:
            doing = step.office(step.words)
            async with desk.acting(step.role, doing) as connection:
                result = await step.work(connection, doing, done)
                await store.insert_step(connection, step.name, result, now_us=desk.now_us)
            done[step.name] = result
        advance(count)
    return done


async def _refuse_another(connection: Connection, kept: Kept) -> None:
    begun = await store.begun(connection)
    if begun is not None and begun.answers_sha256 != kept.sha256:
        raise Refusal(f"this database is that of {begun.name}, which was founded with other answers")
    if begun is None and await count_members(connection):
        raise Refusal("this database has members already: a co-op was founded in it; take an empty one")


def _beginning(
    answers: Answers, kept: Kept
) -> Callable[[Connection, Doing, Mapping[str, str]], Awaitable[str]]:
    async def work(connection: Connection, _doing: Doing, _done: Mapping[str, str]) -> str:
        await store.insert_founding(connection, Begun(answers.name, kept.sha256, kept.began_us))
        return ""

    return work


class _Entering:
    """The work of each step; every entry is dated to the instant the founding began."""

    def __init__(self, answers: Answers, began_us: int) -> None:
        self._answers = answers
        self._began_us = began_us
        self._who = getpass.getuser()

    async def nothing_before(self, connection: Connection, _doing: Doing, _done: Mapping[str, str]) -> str:
        text = nothing_charged(self._answers.currency, Month.of(self._began_us))
        return str((await set_tariff(connection, text, now_us=self._began_us)).effective_from)

    async def tariff(self, connection: Connection, _doing: Doing, _done: Mapping[str, str]) -> str:
        text = tariff_toml(self._answers.tariff)
        return str((await set_tariff(connection, text, now_us=self._began_us)).effective_from)

    async def share_kind(self, connection: Connection, _doing: Doing, _done: Mapping[str, str]) -> str:
        made = await add_share_kind(
            connection, name=self._answers.share_kind, par=self._answers.par, currency=self._answers.currency,
            held_by=[one.value for one in MemberClass if one.is_member], is_investment=False, interest_max=None,
            who=self._who, now_us=self._began_us,
        )  # fmt: skip
        return made.name

    def member(self, founder: Founder) -> Callable[[Connection, Doing, Mapping[str, str]], Awaitable[str]]:
        async def work(connection: Connection, doing: Doing, _done: Mapping[str, str]) -> str:
            entered = await add_member(
                connection, name=founder.name, member_class=founder.member_class, email=founder.email,
                now_us=self._began_us,
            )  # fmt: skip
            doing.what, doing.subject = "enter a founder into the register", entered.id
            await change_particulars(
                connection, entered.id, legal_name=founder.full_name, postal=founder.postal or None, email=founder.email,
                purposes=NOTICES, who=self._who, now_us=self._began_us,
            )  # fmt: skip
            return str(entered.id)

        return work

    def shares(self, founder: Founder) -> Callable[[Connection, Doing, Mapping[str, str]], Awaitable[str]]:
        async def work(connection: Connection, doing: Doing, done: Mapping[str, str]) -> str:
            member = MemberId(int(done[f"member {founder.name}"]))
            doing.what, doing.subject = "enter what a founder subscribed", member
            asked = Operation(
                0, OperationKind.SUBSCRIPTION, member, self._began_us, self._began_us, self._who,
                share_kind=self._answers.share_kind, quantity=founder.shares, memo="founding",
            )  # fmt: skip
            return str((await enter_shares(connection, asked)).operation.number)

        return work

    async def resolution(self, connection: Connection, doing: Doing, _done: Mapping[str, str]) -> str:
        held, answers = self._answers.meeting, self._answers
        # What the meeting decided stands in the register word for word as in the minutes it signs.
        with speaking(answers.language):
            text = resolution_text(answers, rule_set(answers.rule_set))
        asked = Resolution(
            "", Body.MEETING, ResolutionKind.RULE_SET, held.held_on or to_datetime(self._began_us).date(),
            text, None, _votes(held), None, None, self._who,
            self._began_us,
        )  # fmt: skip
        await governance_run.check(connection, asked, now_us=self._began_us)
        entered = await governance_run.enter(connection, asked)
        doing.what = f"enter resolution {entered.id} of the founding meeting"
        return entered.id

    async def rule_set(self, connection: Connection, _doing: Doing, done: Mapping[str, str]) -> str:
        chosen = await governance_run.choose(
            connection, rule_set_text(self._answers.rule_set), from_year=self._answers.from_year,
            first_month=self._answers.first_month, resolution=done[RESOLUTION], choices=self._answers.choices,
            who=self._who, now_us=self._began_us,
        )  # fmt: skip
        return str(chosen.number)

    def office(
        self, founder: Founder, office: Office
    ) -> Callable[[Connection, Doing, Mapping[str, str]], Awaitable[str]]:
        async def work(connection: Connection, doing: Doing, done: Mapping[str, str]) -> str:
            found = await find_member(connection, done[f"member {founder.name}"])
            doing.subject = found.id
            held = await acts_run.grant(
                connection, found.id, office, from_us=self._began_us, until_us=None, resolution=done[RESOLUTION],
                who=self._who, now_us=self._began_us,
            )  # fmt: skip
            return str(held.number)

        return work


def _votes(held: Meeting) -> Votes | None:
    return None if held.in_favour is None else Votes(held.in_favour, held.against, held.abstained)
