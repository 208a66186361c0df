"""What the closing of a fiscal year depends on, gathered from the months, the register, the books and the rules."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from functools import partial

from billing import store, year_store
from billing.charges.quick import Kept
from billing.costs.store import trued_up
from billing.governance import store as governance_store
from billing.governance.choices import Choices, rules_of
from billing.governance.decisions import Choice, Hours, choice_for, current_hours, weights_of
from billing.ledger.entry import LOSS, Account, receivable
from billing.month.closing import Closing
from billing.month.frozen import closing_of, was_shared_out
from billing.register import store as register_store
from billing.register.run import consented
from billing.register.year import share_interest, share_lots
from billing.rules.book import rule_set
from billing.rules.ruleset import RuleSet
from billing.run import MEMBERS_AT_ONCE, as_it_stands
from billing.year.average import average_paid
from billing.year.columns import People, Uses
from billing.year.fiscal import FiscalYear
from billing.year.inputs import CUSTOMER, ONE, ZERO, Reserves, ShareInterest, YearInputs
from billing.year.reading import PLAIN
from billing.year_booking import Owed
from billing.year_page import Sources
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal
from meter.window import Month

HOUR_PARTS = 10**6
"""Hours × factor are kept in millionths."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a resolution decides for one year."""

    resolved: tuple[tuple[str, int], ...] = ()
    """(account, amount) put aside."""
    set_off: bool = False
    """Whether what members owe is taken off what they are paid."""
    withhold: bool = False
    reference_rate: Fraction | None = None
    public_aid_minor: int = 0


@dataclass(frozen=True, slots=True)
class Gathered:
    """Everything frozen, and what the posting needs besides."""

    sources: Sources
    inputs: YearInputs
    swept: Mapping[str, int]
    owed: Owed
    open_before: tuple[int, ...]
    """Earlier fiscal years that are not closed yet."""
    not_trued_up: tuple[Month, ...]
    """Closed months whose prices were not adjusted to cost, where those of some of the year were."""


async def gather(connection: Connection, year: FiscalYear, options: Options, *, now_us: int) -> Gathered:
    """Everything as it stands, in the caller's transaction; months that are open as a trial of theirs.

    Raises Refusal for a year not begun, a month that an older Weir closed, or withholding that no rule knows.
    """
    if now_us < year.first.start_us:
        raise Refusal(f"the fiscal year {year} has not begun yet")
    choice = choice_for(await governance_store.choices(connection), year.number)
    rules, chosen = await _rules(connection, choice)
    if options.withhold and rules.withholding is None:
        raise Refusal(f"the rule set {rules.id} withholds nothing; leave out --withhold")
    months = await _Months.read(connection, year, now_us=now_us)
    swept = await year_store.unswept(connection, year.first, max(months.every))
    members = await _Members.read(connection, year, months, rules, options)
    sources = _sources(year, months, swept, members.taken_back)
    inputs = YearInputs(
        currency=months.currency,
        rule_set=rules,
        costs_minor=sum(sources.costs.values()),
        uses=members.uses,
        people=members.people,
        fiscal_year=str(year),
        fiscal_year_number=await _place(connection, year),
        side_income_minor=sum(sources.side.values()),
        class_weights=chosen.class_weights,
        class_keys=chosen.class_keys,
        empty=chosen.empty or rules.classes.empty,
        prior_deficit_minor=await _prior_deficit(connection, year, months),
        interest=await _interest(connection, year, chosen, options),
        resolved=options.resolved,
        reserves=Reserves(
            compulsory_minor=await year_store.credit_balance(connection, "reserve:compulsory"),
            voluntary_minor=await year_store.credit_balance(connection, "reserve:voluntary"),
            highest_capital_minor=await year_store.highest_capital(connection, year.last.end_us),
            average=await _average(connection, year, rules.loss.average_years),
        ),
        form=chosen.form,
    )
    adjusted = {*await trued_up(connection)} & {*year.months}
    return Gathered(
        sources, inputs, swept, members.losses, tuple(await open_before(connection, year)),
        tuple(month for month in months.closings if month not in adjusted) if adjusted else (),
    )  # fmt: skip


async def _average(connection: Connection, year: FiscalYear, years: int) -> Fraction | None:
    """What part of the surpluses of the years before went to the compulsory reserve; None where no rule asks."""
    pages = []
    for number in await year_store.closed_years(connection) if years else ():
        if year.number - years <= number < year.number:
            stored = await year_store.year_text(connection, number)
            assert stored is not None, "a closed year has its page"
            pages.append(json.loads(stored[0]))
    return average_paid(pages)


async def _rules(connection: Connection, choice: Choice | None) -> tuple[RuleSet, Choices]:
    if choice is None:
        return rule_set(PLAIN), Choices()
    currency = await store.book_currency(connection)
    assert currency is not None, "whoever closes a year has a tariff"
    return rules_of(choice, currency=currency)


async def _place(connection: Connection, year: FiscalYear) -> int:
    """1 for the co-op's first fiscal year."""
    founded = FiscalYear.of(await year_store.first_month(connection), year.first_month)
    return max(year.number - founded.number + 1, 1)


@dataclass(frozen=True, slots=True)
class _Months:
    """The months of the year: closed, and as they stand; and losses of closed months after it."""

    closings: Mapping[Month, Closing]
    trials: Mapping[Month, Closing]
    open_charges: Mapping[tuple[int, str], int]
    open_first: Mapping[MemberId, Month]
    """The first of the open months in which somebody is charged as a member."""
    later_losses_minor: int
    currency: str

    @classmethod
    async def read(cls, connection: Connection, year: FiscalYear, *, now_us: int) -> _Months:
        closings, later = {}, 0
        for month, text in await year_store.closing_texts(connection):
            if month in year.months:
                closings[month] = closing_of(text)
            elif month > year.last:
                later += min(closing_of(text).result.amount_minor, 0)
        charges: dict[tuple[int, str], int] = defaultdict(int)
        first: dict[MemberId, Month] = {}

        def add(line: Kept, month: Month) -> None:
            charges[line.member, line.member_class] += line.amount_minor
            if line.amount_minor and line.member_class != CUSTOMER:
                first.setdefault(MemberId(line.member), month)

        trials = {}
        begun = max(closings).next() if closings else await year_store.first_month(connection)
        for month in year.months:
            if month >= begun and month not in closings and month.start_us <= now_us:
                trials[month] = await as_it_stands(
                    connection, month, now_us=now_us, each=partial(add, month=month)
                )
        if not closings and not trials:
            raise Refusal(f"the fiscal year {year} has no month in which anything happened")
        currency = next(iter({**closings, **trials}.values())).currency
        return cls(closings, trials, charges, first, later, currency)

    @property
    def every(self) -> dict[Month, Closing]:
        return {**self.closings, **self.trials}


def _sources(year: FiscalYear, months: _Months, swept: Mapping[str, int], taken_back_minor: int) -> Sources:
    """Costs by pool, and what else counts as cost or as income beside the service."""
    costs: dict[str, int] = defaultdict(int)
    for done in months.every.values():
        for pool, amount in done.costs.items():
            costs[pool] += amount
    # Invoices of an open month stand on their accounts and in its trial; they are counted once.
    waiting: dict[str, int] = defaultdict(int)
    for done in months.trials.values():
        for pool, amount in done.costs.items():
            waiting[f"cost:{pool}"] += amount
    side: dict[str, int] = {}
    for account, balance in swept.items():
        left = balance - waiting.get(account, 0)
        if account.startswith("income:"):
            side[account] = -left
        elif left:
            costs[account] += left
    if taken_back_minor:
        costs["credits beyond charges"] += taken_back_minor
    every = months.every
    return Sources(
        year=year,
        months={month: done.digest for month, done in every.items()},
        costs=dict(costs),
        side=side,
        month_results={month: done.result.amount_minor for month, done in every.items()},
    )


async def _prior_deficit(connection: Connection, year: FiscalYear, months: _Months) -> int:
    """What of the loss carried is older than this year: its balance less the losses of months that are not.

    Earlier years that are still open count as their closings would: net, and in order.
    """
    carried = -await year_store.credit_balance(connection, LOSS)
    own = sum(min(done.result.amount_minor, 0) for done in months.closings.values())
    before = await open_before(connection, year)
    losses = sum([min(minor, 0) for results in before.values() for minor in results])
    deficit = max(carried + own + months.later_losses_minor + losses, 0)
    for results in before.values():
        deficit = max(deficit - sum(results), 0)
    return deficit


async def open_before(connection: Connection, year: FiscalYear) -> dict[int, list[int]]:
    """Fiscal year → results of its closed months, of the years before this one that are not closed; in order.

    Months that an older Weir shared out one by one belong to none.
    """
    closed = await year_store.closed_years(connection)
    found: dict[int, list[int]] = defaultdict(list)
    for month, text in await year_store.closing_texts(connection):
        number = FiscalYear.of(month, year.first_month).number
        if number < year.number and number not in closed and not was_shared_out(text):
            found[number].append(closing_of(text).result.amount_minor)
    return dict(sorted(found.items()))


async def _interest(
    connection: Connection, year: FiscalYear, chosen: Choices, options: Options
) -> ShareInterest:
    if not chosen.share_rates:
        return ShareInterest()
    kinds = await register_store.share_kinds(connection)
    lots = share_lots(await register_store.operations(connection), kinds, year.first)
    found = share_interest(lots, chosen.share_rates)
    holders = await _Named.read(connection, sorted({int(lot.id) for lot in found.lots}))
    names = dict(zip(map(str, holders.numbers), holders.ids, strict=True))
    named = tuple(replace(lot, id=names[lot.id]) for lot in found.lots)
    return replace(
        found, lots=named, reference_rate=options.reference_rate, public_aid_minor=options.public_aid_minor
    )


@dataclass(frozen=True, slots=True)
class _Members:
    uses: Uses
    people: People
    losses: Owed
    taken_back: int
    """What members were credited beyond their charges of the year: a cost of the others."""

    @classmethod
    async def read(
        cls, connection: Connection, year: FiscalYear, months: _Months, rules: RuleSet, options: Options
    ) -> _Members:
        entered = await governance_store.hours(connection, year.first, year.last)
        worked = weights_of(entered, year.months)
        rows = await _charges(
            connection, year, {**{(int(one), "worker"): 0 for one in worked}, **months.open_charges}
        )
        named = await _Named.read(connection, sorted({member for member, _, _ in rows}))
        name_of = dict(zip(named.numbers, named.ids, strict=True))
        hours = {member: Fraction(parts, HOUR_PARTS) for member, parts in worked.items() if parts}
        uses = Uses(
            ids=[name_of[member] for member, _, _ in rows],
            classes=[name for _, name, _ in rows],
            charges=[max(amount, 0) for _, _, amount in rows],
            hours=[
                hours.get(MemberId(member), ZERO) if name == "worker" else ZERO for member, name, _ in rows
            ],
            factors=[ONE] * len(rows),
            points=[ZERO] * len(rows),
            minimums=[ZERO] * len(rows),
            members=[True] * len(rows),
        )
        losses = await _losses(connection)
        willing = await _consented(connection, year, months, entered) if rules.consent_kinds else set()
        people = await _people(connection, named, losses, year, willing, options)
        return cls(uses, people, losses, -sum([min(amount, 0) for _, _, amount in rows]))


async def _charges(
    connection: Connection, year: FiscalYear, more: dict[tuple[int, str], int]
) -> list[tuple[int, str, int]]:
    """(member, class, charges) over the closed months of a year and what comes to them besides, in order."""
    rows: list[tuple[int, str, int]] = []
    async for some in year_store.year_charges(connection, year, rows_max=MEMBERS_AT_ONCE):
        if more:
            some = [(member, name, amount + more.pop((member, name), 0)) for member, name, amount in some]
        rows += some
    rows += [(member, name, amount) for (member, name), amount in more.items()]
    return sorted(rows)


@dataclass(frozen=True, slots=True)
class _Named:
    """What the register holds of members, column by column, by number."""

    numbers: list[int]
    ids: list[str]
    joined: list[str]
    left: list[str]

    @classmethod
    async def read(cls, connection: Connection, members: list[int]) -> _Named:
        found = cls([], [], [], [])
        days = _Days()
        wanted = set(members)
        async for rows in year_store.names(connection, rows_max=MEMBERS_AT_ONCE):
            for number, name, joined, left in rows:
                if number in wanted:
                    found.numbers.append(number)
                    found.ids.append(name)
                    found.joined.append(days[joined])
                    found.left.append(days[left])
        assert found.numbers == members, "whoever has charges, hours or shares stands in the register"
        return found


class _Days(dict[date | None, str]):
    """Days as texts, each written down once: a million members came on few of them."""

    def __missing__(self, day: date | None) -> str:
        self[day] = "" if day is None else day.isoformat()
        return self[day]


async def _losses(connection: Connection) -> dict[int, list[tuple[Account, int]]]:
    """Member → their shares of earlier losses that are still to be met, the oldest first."""
    found: dict[int, list[tuple[Account, int]]] = defaultdict(list)
    for account, balance in (await year_store.balances_below(connection, "loss:member:")).items():
        if balance > 0:
            found[int(account.split(":")[2])].append((Account(account), balance))
    for owed in found.values():
        owed.sort(key=lambda one: int(one[0].split(":")[3]))
    return dict(found)


async def _consented(
    connection: Connection, year: FiscalYear, months: _Months, entered: list[Hours]
) -> set[MemberId]:
    """Whose consent held for all of the year's patronage, by the months of their charges and hours."""
    worked: dict[MemberId, Month] = {}
    for one in current_hours(entered):
        if one.weight:
            worked.setdefault(one.member, one.month)
    used = await year_store.first_charged(connection, year)
    for more in (months.open_first, worked):
        for member, month in more.items():
            used[member] = min(used.get(member, month), month)
    return await consented(connection, used, year.first, until_us=year.last.end_us)


async def _people(
    connection: Connection,
    named: _Named,
    losses: Owed,
    year: FiscalYear,
    willing: Container[MemberId],
    options: Options,
) -> People:
    owed = await year_store.balances_below(connection, "receivable:member:") if options.set_off else {}
    unmet = {member: sum([balance for _, balance in own]) for member, own in losses.items()}
    nothing = [0] * len(named.numbers)
    return People(
        ids=named.ids,
        numbers=named.numbers,
        owed=[max(owed.get(receivable(MemberId(member)), 0), 0) for member in named.numbers]
        if owed
        else nothing,
        losses=[unmet.get(member, 0) for member in named.numbers] if unmet else nothing,
        consents=[MemberId(member) in willing for member in named.numbers],
        withholds=[options.withhold] * len(nothing),
        joined=named.joined,
        # Who leaves between the meeting and the closing was a member all year, and the digest approved still fits.
        left=[day if day < str(year.last.next()) else "" for day in named.left],
    )
