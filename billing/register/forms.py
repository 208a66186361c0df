"""The register as a law wants it printed: which columns, in which words, and which part stands apart. Pure.

Sources are the laws' own texts; what a law asks about officers and minutes is kept elsewhere. It formats, it decides
nothing: every row comes from the operations. Headings and cells are in the language spoken now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from billing.register.operations import (
    Effect,
    Holding,
    Operation,
    OperationKind,
    Person,
    ShareKind,
    effects,
    people_at,
)
from billing.register.particulars import Particulars
from billing.tongue import _, many, phrase
from billing.words import amount_text, count_text, day_text, numeral
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.window import to_datetime

Cell = str | list[str]


class Column(StrEnum):
    """What can be told of somebody."""

    NUMBER = "number"
    NAME = "name"
    POSTAL = "postal_address"
    EMAIL = "electronic_address"
    PURPOSES = "purposes"
    CLASS = "class"
    SHARES = "shares"
    FURTHER = "further_shares"
    PAID = "paid"
    OWING = "owing"
    PROPERTY = "other_property"
    DATES = "share_dates"
    ENTERED = "entered"
    CEASED = "ceased"


HEADINGS = {
    Column.NUMBER: "No.",
    Column.NAME: "Name",
    Column.POSTAL: "Postal address",
    Column.EMAIL: "Electronic address",
    Column.PURPOSES: "Notified for",
    Column.CLASS: "Class",
    Column.SHARES: "Shares held",
    Column.FURTHER: "Further shares beyond the first",
    Column.PAID: "Paid on them",
    Column.OWING: "Owing on them",
    Column.PROPERTY: "Other property in the co-op",
    Column.DATES: "Dates of the shares",
    Column.ENTERED: "Entered on",
    Column.CEASED: "Ceased on",
}


PARTS = {"members": "Members", "investment shares": "Investment shares"}
"""The registers that one document has, and what each is called."""
STEPS = {
    OperationKind.SUBSCRIPTION: "{day} subscription: {changed}",
    OperationKind.PAYMENT: "{day} payment: {changed}",
    OperationKind.REDEMPTION: "{day} redemption: {changed}",
    OperationKind.CONVERSION: "{day} conversion: {changed}",
    OperationKind.CORRECTION: "{day} correction of operation {number}: {changed}",
}
"""What changes somebody's shares, but for transfers, which have two sides."""


@dataclass(frozen=True, slots=True)
class Form:
    """What one law asks for. `words` replace a heading where the law has its own."""

    law: str
    title: str
    source: str
    columns: tuple[Column, ...]
    investors: tuple[Column, ...]
    words: Mapping[Column, str]


_BASIC = (Column.NUMBER, Column.NAME, Column.POSTAL)
_EVERYTHING = (
    *_BASIC, Column.EMAIL, Column.PURPOSES, Column.CLASS, Column.SHARES, Column.PAID, Column.OWING, Column.PROPERTY,
    Column.DATES, Column.ENTERED, Column.CEASED,
)  # fmt: skip
_INVESTORS = (*_BASIC, Column.SHARES, Column.PAID, Column.ENTERED, Column.CEASED)
FORMS = {
    form.law: form
    for form in (
        Form(
            "uk", "Register of members",
            "Co-operative and Community Benefit Societies Act 2014, s. 30(2)",
            (*_BASIC, Column.EMAIL, Column.PURPOSES, Column.SHARES, Column.PAID, Column.PROPERTY, Column.ENTERED,
             Column.CEASED),
            (*_BASIC, Column.EMAIL, Column.PURPOSES, Column.SHARES, Column.PAID, Column.ENTERED,
             Column.CEASED),
            {Column.PROPERTY: "Other property in the society", Column.ENTERED: "Entered as a member"},
        ),
        Form(
            "bc", "Register of members", "Cooperative Association Act (British Columbia), SBC 1999 c. 28, s. 124",
            (*_BASIC, Column.SHARES, Column.PAID, Column.ENTERED, Column.CEASED), _INVESTORS,
            {Column.SHARES: "Membership shares held"},
        ),
        Form(
            "qc", "Register of members / Registre des membres",
            "Cooperatives Act (Québec), CQLR c. C-67.2, s. 124 (5) to (7)",
            (*_BASIC, Column.CLASS, Column.SHARES, Column.DATES, Column.OWING),
            (*_BASIC, Column.SHARES, Column.DATES, Column.OWING),
            {Column.POSTAL: "Last known address",
             Column.DATES: "Subscription, redemption, repayment, transfer of shares"},
        ),
        Form(
            "ca", "List of members", "Canada Cooperatives Act, S.C. 1998 c. 1, s. 31(1)(d) and (e)",
            (*_BASIC, Column.SHARES, Column.PROPERTY), (*_BASIC, Column.SHARES),
            {Column.SHARES: "Membership shares owned", Column.PROPERTY: "Member loans and other property"},
        ),
        Form(
            "es", "Register of members and of contributions / Libros registro de socios y de aportaciones al capital",
            "Ley 27/1999, art. 60",
            (*_BASIC, Column.CLASS, Column.ENTERED, Column.CEASED, Column.DATES, Column.SHARES, Column.PAID,
             Column.OWING),
            (*_BASIC, Column.ENTERED, Column.CEASED, Column.DATES, Column.SHARES, Column.PAID, Column.OWING),
            {Column.SHARES: "Contributions held", Column.DATES: "Dates of the contributions"},
        ),
        Form(
            "de", "List of members / Mitgliederliste", "Genossenschaftsgesetz § 30(2)",
            (*_BASIC, Column.ENTERED, Column.FURTHER, Column.DATES, Column.CEASED),
            (*_BASIC, Column.ENTERED, Column.FURTHER, Column.DATES, Column.CEASED),
            {Column.NAME: "Family name, first names, or firm", Column.ENTERED: "Joined with effect from",
             Column.FURTHER: "Further shares beyond the first", Column.DATES: "Effective dates of the shares",
             Column.CEASED: "Left with effect from"},
        ),
        Form("plain", "Register of members", "no law's form: everything there is", _EVERYTHING,
            tuple(one for one in _EVERYTHING if one not in (Column.CLASS, Column.PROPERTY)), {}),
    )
}  # fmt: skip
LAW_OF_RULE_SET = {"uk-society": "uk", "ca-qc": "qc", "ca-federal": "ca", "es": "es", "de-eg": "de"}
"""Rule sets whose law asks for a form of its own; the others print everything."""


def form_of(law: str) -> Form:
    """The form of a law. Raises Refusal."""
    if law not in FORMS:
        raise Refusal(f"law: there is no form '{law[:20]}'; there is {', '.join(FORMS)}")
    return FORMS[law]


def register_document(
    form: Form,
    operations: Sequence[Operation],
    kinds: Mapping[str, ShareKind],
    told: Mapping[MemberId, Particulars],
    names: Mapping[MemberId, str],
    balances: Mapping[str, int],
    *,
    at_us: int,
) -> dict[str, object]:
    """The register at an instant, JSON-ready: first the members', then the investors' where there are any.

    Everybody who was ever entered stands in it, also those who ceased. `balances` are credit balances by account.
    """
    people = people_at(operations, at_us)
    steps = [one for one in operations if one.effective_us <= at_us]
    book = _Book(form, steps, kinds, told, names, balances)
    own = frozenset(name for name, kind in kinds.items() if not kind.is_investment)
    members = [one for one in people.values() if one.entered_us is not None]
    invested = frozenset(kinds) - own
    holders = {one.member for one in effects(steps) if one.share_kind in invested}
    registers = [book.register("members", form.columns, members, own)]
    if invested:
        investors = [one for one in people.values() if one.member in holders]
        registers.append(book.register("investment shares", form.investors, investors, invested))
    at = to_datetime(at_us)
    return {
        "title": phrase(form.title),
        "law": form.law,
        "source": form.source,
        "at": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "operations": max((one.number for one in steps), default=0),
        "registers": registers,
    }


class _Book:
    """What rows are made of."""

    def __init__(
        self, form: Form, steps: Sequence[Operation], kinds: Mapping[str, ShareKind],
        told: Mapping[MemberId, Particulars], names: Mapping[MemberId, str], balances: Mapping[str, int],
    ) -> None:  # fmt: skip
        self._form, self._kinds, self._told, self._names = form, kinds, told, names
        self._property = _property(balances, next((one.currency for one in kinds.values()), ""))
        self._by_number = {one.number: one for one in steps}
        self._effects: dict[MemberId, list[Effect]] = {}
        for one in effects(steps):
            self._effects.setdefault(one.member, []).append(one)

    def register(
        self, name: str, columns: Iterable[Column], people: Iterable[Person], kinds: frozenset[str]
    ) -> dict[str, object]:
        """One of the registers; `kinds` are the shares that stand in it."""
        wanted, words = tuple(columns), dict(self._form.words)
        if self._of_investment(kinds):  # the law's words for joining and leaving are of members
            words = {one: text for one, text in words.items() if one not in (Column.ENTERED, Column.CEASED)}
        return {
            "name": name,
            "heading": _(PARTS[name]),
            "columns": [{"key": one.value, "heading": _(words.get(one, HEADINGS[one]))} for one in wanted],
            "rows": [{one.value: self._cell(one, person, kinds) for one in wanted} for person in people],
        }

    def _cell(self, column: Column, person: Person, kinds: frozenset[str]) -> Cell:
        told = self._told.get(person.member, Particulars())
        held = {kind: one for kind, one in person.holdings.items() if kind in kinds}
        cells: Mapping[Column, Callable[[], Cell]] = {
            Column.NUMBER: lambda: str(person.member),
            Column.NAME: lambda: told.legal_name or self._names.get(person.member, ""),
            Column.POSTAL: lambda: told.postal,
            Column.EMAIL: lambda: told.email,
            Column.PURPOSES: lambda: told.purposes,
            Column.CLASS: lambda: ", ".join(phrase(one.value) for one in person.classes),
            Column.SHARES: lambda: [
                _("{count} of kind {kind}", count=count_text(one.shares), kind=kind) for kind, one in held.items()
            ],
            Column.FURTHER: lambda: str(max(sum(one.shares for one in held.values()) - 1, 0)),
            Column.PAID: lambda: [self._amount(kind, one.paid_minor) for kind, one in held.items()],
            Column.OWING: lambda: [
                self._amount(kind, self._owing(kind, one)) for kind, one in held.items() if self._owing(kind, one)
            ],
            Column.PROPERTY: lambda: self._property.get(person.member, []),
            Column.DATES: lambda: self._dates(person.member, kinds),
            Column.ENTERED: lambda: _day(self._first(person, kinds)),
            Column.CEASED: lambda: _day(self._last(person, kinds)),
        }  # fmt: skip
        return cells[column]()

    def _amount(self, kind: str, minor: int) -> str:
        return _("{amount} on kind {kind}", amount=amount_text(minor, self._kinds[kind].currency), kind=kind)

    def _owing(self, kind: str, held: Holding) -> int:
        return held.shares * self._kinds[kind].par_minor - held.paid_minor

    def _of_investment(self, kinds: frozenset[str]) -> bool:
        return any(self._kinds[one].is_investment for one in kinds)

    def _own(self, member: MemberId, kinds: frozenset[str]) -> list[Effect]:
        own = [one for one in self._effects.get(member, ()) if one.share_kind in kinds]
        return sorted(own, key=lambda one: (one.effective_us, one.number))

    def _first(self, person: Person, kinds: frozenset[str]) -> int | None:
        if not self._of_investment(kinds):
            return person.entered_us
        return next((one.effective_us for one in self._own(person.member, kinds)), None)

    def _last(self, person: Person, kinds: frozenset[str]) -> int | None:
        if not self._of_investment(kinds):
            return person.ceased_us
        held = any(one.shares for kind, one in person.holdings.items() if kind in kinds)
        return None if held else self._own(person.member, kinds)[-1].effective_us

    def _dates(self, member: MemberId, kinds: frozenset[str]) -> list[str]:
        return [self._happened(one) for one in self._own(member, kinds)]

    def _happened(self, one: Effect) -> str:
        step, kind = self._by_number[one.number], self._kinds[one.share_kind]
        changed = []
        if one.shares:
            changed.append(
                many(
                    "{signed} share of kind {kind}", "{signed} shares of kind {kind}", abs(one.shares),
                    signed=numeral(f"{one.shares:+,}"), kind=kind.name,
                )
            )  # fmt: skip
        if one.paid_minor:
            sign = "+" if one.paid_minor > 0 else ""
            changed.append(f"{sign}{amount_text(one.paid_minor, kind.currency)}")
        values = {"day": _day(one.effective_us), "changed": ", ".join(changed)}
        if step.kind is not OperationKind.TRANSFER:
            return _(STEPS[step.kind], number=step.corrects, **values)
        if one.shares > 0:
            return _("{day} transfer from member {member}: {changed}", member=step.member, **values)
        return _("{day} transfer to member {member}: {changed}", member=step.counterpart, **values)


_PROPERTY_WORDS = {
    "capital": "{amount} kept in their name",
    "retained": "{amount} kept in their name",
    "debt": "{amount} lent to the co-op",
    "payable": "{amount} waiting to be paid",
}


def _property(balances: Mapping[str, int], currency: str) -> dict[MemberId, list[str]]:
    """What stands in a member's name in the books beside shares, by member."""
    sums: dict[tuple[MemberId, str], int] = {}
    for account, amount in balances.items():
        word, *rest = account.split(":")
        if word in _PROPERTY_WORDS and rest[:1] == ["member"] and rest[1:] and rest[1].isdecimal():
            key = (MemberId(int(rest[1])), _PROPERTY_WORDS[word])
            sums[key] = sums.get(key, 0) + amount
    found: dict[MemberId, list[str]] = {}
    for (member, words), amount in sorted(sums.items()):
        if amount:
            text = (
                amount_text(amount, currency) if currency else _("{count} of the smallest unit", count=amount)
            )
            found.setdefault(member, []).append(_(words, amount=text))
    return found


def _day(instant_us: int | None) -> str:
    return "" if instant_us is None else day_text(to_datetime(instant_us).date())
