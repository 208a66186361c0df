"""What founders answer, read from a file and checked as a whole. Pure.

Nothing of it is done yet: whatever would be refused half-way is refused here, with a sentence that names the field.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction

from billing.acts.act import Office
from billing.charges.tariff import PRICED, Tariff, parse_tariff
from billing.fields import Table
from billing.governance.choices import check_choices, parse_choices
from billing.money import exact_text, exponent, parse_amount
from billing.register.shares import QUANTITY_MAX, share_kind
from billing.rules.book import rule_set
from billing.tongue import LANGUAGES, SOURCE, known
from meter.refusal import Refusal
from meter.usage import MemberClass
from meter.window import Month, UnknownMonth, to_datetime

ANSWERS_BYTES_MAX = 256 * 1024
FOUNDERS_MAX = 500
COSTS_MAX = 100
NAME_CHARACTERS_MAX = 120
MONTHS_AHEAD_MAX = 12
GB_MAX = 10**9
_MEMBER = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
_ADDRESS = re.compile(r"[^@\s,<>]+@[^@\s,<>]+")


POSTAL_CHARACTERS_MAX = 500


@dataclass(frozen=True, slots=True)
class Founder:
    """One of the first members."""

    name: str
    full_name: str
    email: str
    member_class: MemberClass
    shares: int
    offices: tuple[Office, ...]
    postal: str = ""
    """Where letters reach them; empty where it was not said."""

    def __repr__(self) -> str:
        return f"Founder({self.name!r}, …)"


@dataclass(frozen=True, slots=True)
class Cost:
    """What something costs every month."""

    what: str
    a_month_minor: int


@dataclass(frozen=True, slots=True)
class ThoughtUse:
    """What a member is thought to use in a month: for the budget alone, nobody is charged by it."""

    gb_stored: int = 0
    gb_out: int = 0
    gb_in: int = 0


@dataclass(frozen=True, slots=True)
class Meeting:
    """The founding meeting; without a count nothing is said of votes."""

    held_on: date | None = None
    place: str = ""
    in_favour: int | None = None
    against: int = 0
    abstained: int = 0


@dataclass(frozen=True, slots=True)
class Answers:
    """All of it, checked."""

    name: str
    rule_set: str
    begin: Month
    first_month: int
    """The month a fiscal year begins with."""
    share_kind: str
    par: str
    tariff: Tariff
    has_own_prices: bool
    founders: tuple[Founder, ...]
    class_weights: Mapping[str, Fraction] = field(default_factory=dict)
    meeting: Meeting = Meeting()
    costs: tuple[Cost, ...] = ()
    use: ThoughtUse = ThoughtUse()
    language: str = SOURCE
    """Of the papers, and of the resolution that the register keeps."""

    @property
    def currency(self) -> str:
        """In which the books are kept."""
        return self.tariff.currency

    @property
    def par_minor(self) -> int:
        """What one share is worth."""
        return parse_amount(self.par, self.currency)

    @property
    def from_year(self) -> int:
        """The fiscal year in which the books begin, by the calendar year it begins in."""
        return self.begin.year if self.begin.number >= self.first_month else self.begin.year - 1

    @property
    def choices(self) -> str:
        """What is chosen within the rule set, as the TOML that `weir ruleset choose` reads."""
        if not self.class_weights:
            return ""
        rows = [f'{name} = "{exact_text(weight)}"' for name, weight in sorted(self.class_weights.items())]
        return "\n".join(("[class_weights]", *rows)) + "\n"


def parse_file(text: str) -> dict[str, object]:
    """A file of answers as it stands, for options to be laid over it. Raises Refusal."""
    if len(text.encode("utf-8", "surrogateescape")) > ANSWERS_BYTES_MAX:
        raise Refusal(f"answers: a file has at most {ANSWERS_BYTES_MAX} bytes")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refusal(f"answers: is not TOML: {error}") from None


def canonical_text(document: Mapping[str, object]) -> str:
    """The answers as they are kept while a founding goes on: the same answers are the same text."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1, default=str) + "\n"


def read_answers(document: object, *, example: str, now_us: int) -> Answers:
    """Read and check everything. `example`: the shipped tariff, whose prices count where no others are named.

    Raises Refusal naming the field and what is wrong with it.
    """
    table = Table(document, "")
    name = " ".join(table.text("name").split())
    if len(name) > NAME_CHARACTERS_MAX:
        raise Refusal(f"name: a co-op's name has at most {NAME_CHARACTERS_MAX} characters")
    rules = rule_set(table.text("rule_set"))
    currency = table.text("currency")
    exponent(currency)
    begin = _begin(table, now_us=now_us)
    first_month = table.whole("fiscal_year_begins", default=1)
    if not 1 <= first_month <= 12:
        raise Refusal("fiscal_year_begins: the number of a month, 1 to 12")
    prices = table.table("prices") if table.has("prices") else None
    tariff = _tariff(prices, currency, begin, example=example)
    share = table.table("share")
    kind, par = share.text("kind") if share.has("kind") else "member", share.text("par")
    share.finish()
    founders = tuple(_founders(table))
    held_by = [one.value for one in MemberClass if one.is_member]
    share_kind(name=kind, par=par, currency=currency, held_by=held_by, is_investment=False, interest_max=None)
    found = Answers(
        name=name, rule_set=rules.id, begin=begin, first_month=first_month, share_kind=kind, par=par, tariff=tariff,
        has_own_prices=prices is not None, founders=founders, class_weights=_weights(table),
        meeting=_meeting(table.table("meeting"), len(founders), now_us=now_us),
        costs=tuple(_costs(table, currency)), use=_use(table.table("use")), language=_language(table),
    )  # fmt: skip
    table.finish()
    check_choices(parse_choices(found.choices, currency=currency), rules, currency=currency)
    return found


def _language(table: Table) -> str:
    if not table.has("language"):
        return SOURCE
    told = table.text("language")
    language = known(told)
    if language is None:
        raise Refusal(f"language: '{told[:40]}' is none of ours; there is {', '.join(LANGUAGES)}")
    return language


def _begin(table: Table, *, now_us: int) -> Month:
    present = Month.of(now_us)
    if not table.has("begin"):
        return present
    try:
        begin = Month.parse(table.text("begin"))
    except UnknownMonth as unknown:
        raise Refusal(f"begin: {unknown}") from None
    if begin < present:
        raise Refusal(
            f"begin: {begin} is over, and nobody was a member then; {present} is the first it can be"
        )
    last = present
    for _ahead in range(MONTHS_AHEAD_MAX):
        last = last.next()
    if begin > last:
        raise Refusal(f"begin: {begin} is far ahead; {last} is the last it can be")
    return begin


def _tariff(prices: Table | None, currency: str, begin: Month, *, example: str) -> Tariff:
    """The founders' own prices, or the example's numbers in their currency; from the month the books begin."""
    head = f'currency = "{currency}"\neffective_from = "{begin}"\n'
    if prices is None:
        kept = [line for line in example.splitlines() if not line.startswith(("currency", "effective_from"))]
        return parse_tariff(head + "\n".join(kept) + "\n")
    keys = tuple(prices.keys())
    own = "".join(f"{key} = {json.dumps(prices.text(key))}\n" for key in keys)
    known = [one.value for one in PRICED]
    for key in keys:
        if key not in known:
            raise Refusal(f"prices.{key[:40]}: is no service; there is {', '.join(known)}")
    return parse_tariff(head + own)


def nothing_charged(currency: str, start: Month) -> str:
    """A tariff by which nothing is charged: for the months between the founding and the books' beginning."""
    lines = (
        f'currency = "{currency}"', f'effective_from = "{start}"', 'gb_out = "0"', 'gb_in = "0"', 'gb_month = "0"',
        'requests_a_1000 = "0"', 'requests_b_1000 = "0"',
    )  # fmt: skip
    return "\n".join(lines) + "\n"


def _founders(table: Table) -> Iterator[Founder]:
    if not table.has("founder"):
        raise Refusal("founder: name one member at least, each as a table [[founder]]")
    names, addresses, taken = set[str](), dict[str, str](), set[Office]()
    count = 0
    for one in table.tables("founder"):
        count += 1
        if count > FOUNDERS_MAX:
            raise Refusal(
                f"founder: a co-op is founded by at most {FOUNDERS_MAX}; more join by `weir member add`"
            )
        found = _founder(one)
        if found.name in names:
            raise Refusal(f"{one.field('name')}: there are two founders named '{found.name}'")
        address = found.email.casefold()
        if address in addresses:
            raise Refusal(
                f"{one.field('email')}: {addresses[address]} and {found.name} have one address; a sign-in link would"
                " open the door to either"
            )
        names.add(found.name)
        addresses[address] = found.name
        taken |= set(found.offices)
        yield found
    if not count:
        raise Refusal("founder: name one member at least, each as a table [[founder]]")
    if Office.BOARD not in taken:
        raise Refusal("offices: nobody is on the board; give it to one founder at least")


def _founder(one: Table) -> Founder:
    name, email = one.text("name"), one.text("email")
    if _MEMBER.fullmatch(name) is None:
        raise Refusal(
            f"{one.field('name')}: '{name[:40]}' cannot be a member's name: a small letter first, then small letters,"
            " digits or '-', at most 63"
        )
    if _ADDRESS.fullmatch(email) is None or len(email) > 254:
        raise Refusal(f"{one.field('email')}: '{email[:60]}' is no e-mail address")
    member_class = one.text("class") if one.has("class") else MemberClass.USER.value
    classes = [each.value for each in MemberClass if each.is_member]
    if member_class not in classes:
        raise Refusal(
            f"{one.field('class')}: '{member_class[:40]}' is no class of members; there is {', '.join(classes)}"
        )
    shares = one.whole("shares", default=1)
    if not 1 <= shares <= QUANTITY_MAX:
        raise Refusal(
            f"{one.field('shares')}: a founder takes one share at least, and {QUANTITY_MAX:,} at most"
        )
    full_name = one.text("full_name") if one.has("full_name") else name
    if len(full_name) > 200:
        raise Refusal(f"{one.field('full_name')}: one line of at most 200 characters")
    postal = one.text("postal") if one.has("postal") else ""
    if len(postal) > POSTAL_CHARACTERS_MAX:
        raise Refusal(f"{one.field('postal')}: one line of at most {POSTAL_CHARACTERS_MAX} characters")
    found = Founder(name, full_name, email, MemberClass(member_class), shares, tuple(_offices(one)), postal)
    one.finish()
    return found


def _offices(one: Table) -> Iterator[Office]:
    known = [each.value for each in Office]
    for text in dict.fromkeys(one.texts("offices")):
        if text not in known:
            raise Refusal(f"{one.field('offices')}: '{text[:40]}' is no office; there is {', '.join(known)}")
        yield Office(text)


def _weights(table: Table) -> dict[str, Fraction]:
    inner = table.table("class_weights")
    classes = [one.value for one in MemberClass if one.is_member]
    found = {}
    for name in tuple(inner.keys()):
        if name not in classes:
            raise Refusal(f"class_weights.{name[:40]}: is no class of members; there is {', '.join(classes)}")
        found[name] = inner.exact(name)
    return found


def _meeting(table: Table, founders: int, *, now_us: int) -> Meeting:
    today = to_datetime(now_us).date()
    held_on = today
    if table.has("date"):
        value = table.get("date")
        try:
            held_on = value if isinstance(value, date) else date.fromisoformat(str(value))
        except ValueError:
            raise Refusal(f"meeting.date: '{str(value)[:20]}' is not a day; write it as 2026-11-05") from None
    if held_on > today:
        raise Refusal(
            f"meeting.date: {held_on} is still to come (in UTC it is {today}); found the co-op when it has met"
        )
    place = table.text("place") if table.has("place") else ""
    if not table.has("for"):
        if table.has("against") or table.has("abstained"):
            raise Refusal("meeting.for: a count of votes names those for it, too")
        table.finish()
        return Meeting(held_on, place)
    votes = [table.whole(key, default=0) for key in ("for", "against", "abstained")]
    table.finish()
    if votes[0] <= votes[1]:
        raise Refusal(f"meeting.for: {votes[0]} for and {votes[1]} against carry nothing")
    if sum(votes) > founders:
        raise Refusal(f"meeting.for: {sum(votes)} votes were cast, and there are {founders} founders")
    if held_on != today:
        raise Refusal(
            f"meeting.for: votes are held against the register of the day, and on {held_on} nobody stood in it yet;"
            " leave the count out, the minutes have it"
        )
    return Meeting(held_on, place, *votes)


def _costs(table: Table, currency: str) -> Iterator[Cost]:
    for place, one in enumerate(table.tables("cost")):
        if place >= COSTS_MAX:
            raise Refusal(f"cost: at most {COSTS_MAX} lines; put small ones together")
        found = Cost(one.text("what"), one.amount("a_month", currency))
        one.finish()
        yield found


def _use(table: Table) -> ThoughtUse:
    figures = {key: table.whole(key, default=0) for key in ("gb_stored", "gb_out", "gb_in")}
    table.finish()
    for key, value in figures.items():
        if value > GB_MAX:
            raise Refusal(f"use.{key}: at most {GB_MAX:,} GB a member and month")
    return ThoughtUse(**figures)
