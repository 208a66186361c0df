"""The page of the co-op's books: three reports in plain words, members' own accounts summed by kind. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from billing.capital.lots import Kind
from billing.charges.tariff import WORDS as SERVICE_WORDS
from billing.ledger.reports import Report
from billing.tongue import _, phrase
from billing.words import month_text

HEADINGS: Mapping[str, tuple[str, str]] = {
    "balance-sheet": ("What we have, what we owe, and what is ours", "balance sheet"),
    "income-statement": ("What came in and what it cost", "income statement"),
    "trial-balance": ("Every account", "trial balance"),
}
SECTIONS: Mapping[str, str] = {
    "assets": "What we have", "liabilities": "What we owe", "equity": "What is ours", "income": "Came in",
    "expenses": "Cost", "debit": "Debits", "credit": "Credits",
}  # fmt: skip
_WORDS: tuple[tuple[str, str], ...] = (
    (r"bank:.*", "Money in the bank"),
    (r"receivable:member:\*", "Owed to us for use"),
    (r"payable:suppliers", "Bills not paid yet"),
    (r"payable:member:\*", "Shares of the surplus to be paid out"),
    (r"payable:tax", "Taxes owed"),
    (r"payable:unclaimed", "Money of people who cannot be found"),
    (r"debt:member:\*", "Owed to members who left"),
    (r"shares:member:\*", "Paid by members for shares"),
    (r"capital:member:\*:(\d+):(\w+)", r"Kept in members’ names from \1 (\2)"),
    (r"retained:member:\*", "Kept in members’ names"),
    (r"collective:main", "Kept by all, in nobody’s name"),
    (r"reserve:compulsory", "Reserve the law asks for"),
    (r"reserve:voluntary", "Reserve of our own"),
    (r"fund:(.+)", r"Set aside: \1"),
    (r"surplus:undistributed", "Surplus of closed months, until the year is closed"),
    (r"loss:carried", "Loss nobody bears yet"),
    (r"loss:member:\*:(\d+)", r"Members’ part of the loss of \1"),
    (r"revenue:(.+)", r"Charged for use: \1"),
    (r"income:(.+)", r"Beside the service: \1"),
    (r"adjustment:trueup", "Prices put right afterwards"),
    (r"cost:(.+)", r"Cost: \1"),
    (r"interest:shares", "Paid on members’ shares"),
    (r"interest:(.+)", r"Interest: \1"),
    (r"result of what is not closed yet", "Earned in months that are still open"),
)


_KINDS = {one.value: one.value for one in Kind}
"""What capital is called has words; years, and what somebody named, have none."""
_SERVICES = {one.value: words for one, words in SERVICE_WORDS.items()}
_PLACE = re.compile(r"\\(\d)")


def words(account: str) -> str:
    """An account in plain words; its own name where we have none."""
    for pattern, text in _WORDS:
        found = re.fullmatch(pattern, account)
        if found is not None:
            return _filled(_(text), found)
    return account


def _filled(text: str, found: re.Match[str]) -> str:
    known = (
        _KINDS if found[0].startswith("capital:") else _SERVICES if found[0].startswith("revenue:") else {}
    )
    values = [_(known[one]) if one in known else one for one in found.groups()]
    return _PLACE.sub(lambda place: values[int(place[1]) - 1], text)


def page(reports: Iterable[Report], currency: str) -> dict[str, object]:
    """What the template shows. No line is of one member by name or number: the reports hold sums of each kind."""
    return {"currency": currency, "reports": [_report(one) for one in reports]}


def _report(report: Report) -> dict[str, object]:
    assert all(
        ":member:" not in name or ":member:*" in name for one in report.sections for name, _ in one.lines
    )
    plain, formal = HEADINGS[report.name]
    last = month_text(report.last)
    if report.first is None:
        span = _("at the end of {last}", last=last)
    else:
        span = _("{first} to {last}", first=month_text(report.first), last=last)
    return {
        "plain": _(plain),
        "formal": _(formal),
        "span": span,
        "sections": [
            {
                "name": _(SECTIONS[one.name]),
                "lines": [
                    {"words": words(name), "account": name, "amount": amount} for name, amount in one.lines
                ],
                "total": one.total_minor,
            }
            for one in report.sections
        ],
        "result": report.result_minor,
        "checks": "; ".join(phrase(one.name) for one in report.proofs),
    }
