"""The statement of a fiscal year as a paper, from the document of what a member is told. Pure; it makes no figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from billing.prices.pricefile import site_of
from billing.statements.paper import (
    SHADES,
    Box,
    Paper,
    Part,
    Picture,
    Section,
    Table,
    check_us,
    cost_words,
    cut,
)
from billing.tongue import _, many, phrase, pieces, spoken
from billing.words import amount_text, bytes_text, day_text, instant_again, month_text, number_text
from billing.year.inputs import CUSTOMER
from billing.year_losses import (
    TOLD_APART,
    account_words,
    everyones,
    is_spared,
    pool_words,
    spared_note,
    unmet,
)
from billing.year_parts import BESIDES, kinds
from billing.year_statement import (
    FINAL,
    FORMAT,
    charged,
    exact_words,
    meaning_of,
    sentence_of,
    settled,
    sum_pieces,
)
from meter.window import Month

CAME_IN = {
    "interest": "came in: interest", "grant": "came in: grants", "gain": "came in: gains",
    "other": "came in: other income",
}  # fmt: skip
"""Kind of income beside the service → what it is called."""
VOTERS = ("user", "worker", "supporter")


def year_paper(document: Mapping[str, Any], *, is_over: bool) -> Paper:
    """The paper, in the language spoken now; `is_over` is the year, closed or not."""
    is_final = document["kind"] == FINAL
    member = document["member"]
    return Paper(
        title=_title(document["fiscal_year"], is_final=is_final, is_over=is_over),
        standing=_("Final") if is_final else _("Trial: figures still change"),
        is_final=is_final,
        who=_("{name}, member {number}", name=member["name"], number=member["id"]),
        sentence=sentence_of(document),
        meaning=meaning_of(document),
        currency=document["currency"],
        language=spoken(),
        boxes=tuple(_boxes(document, is_final=is_final)),
        below=tuple(_below(document, is_final=is_final)),
        picture=_picture(document),
        sections=tuple(_sections(document, is_final=is_final)),
        foot=tuple(_foot(document)),
        digest=document["digest"],
        dated_us=Month.parse(document["last_month"]).end_us,
    )


def _title(year: int, *, is_final: bool, is_over: bool) -> str:
    if is_final:
        return _("Statement for the year {year}", year=year)
    if is_over:
        return _("If the year {year} were closed now", year=year)
    return _("If the year {year} ended now", year=year)


def is_customer(document: Mapping[str, Any]) -> bool:
    """Whether they bought and were no member."""
    classes: list[str] = document["member"]["classes"]
    return classes == [CUSTOMER]


def _boxes(document: Mapping[str, Any], *, is_final: bool) -> Iterator[Box]:
    currency, co_op, amount = document["currency"], document["co_op"], document["amount_minor"]
    used = document.get("used")
    if used is not None:
        note = many(
            "sent to readers, {received} received from you, in {number} closed month",
            "sent to readers, {received} received from you, in {number} closed months",
            number=used["months"], received=bytes_text(used["bytes_in"]),
        )  # fmt: skip
        yield Box(_("You used"), bytes_text(used["bytes_out"]), note)
    cost = amount_text(co_op["costs_minor"], currency)
    yield Box(_("It cost all of us"), cost, _("every bill of the co-op, below"))
    first, last = (month_text(Month.parse(document[key])) for key in ("first_month", "last_month"))
    span = _("for your use, {first} to {last}", first=first, last=last)
    yield Box(_("You were charged"), amount_text(document["charges_minor"], currency), span)
    if is_customer(document):
        return
    share = amount_text(abs(amount), currency)
    if amount < 0:
        yield Box(_("Your part of the loss"), share, _("met from coming years, never billed"))
    elif is_spared(document):
        yield Box(_("Your part of the loss"), share, spared_note(document))
    else:
        words = _("Comes back to you") if is_final else _("Would come back to you")
        yield Box(words, share, _("your share of what is left over, by use and work"))


def _below(document: Mapping[str, Any], *, is_final: bool) -> Iterator[Box]:
    """Of what comes back: now, in your name; and beside it what is everyone's."""
    currency, co_op = document["currency"], document["co_op"]
    if not is_customer(document) and document["amount_minor"] >= 0 and not is_spared(document):
        now = amount_text(document["paid_minor"] + document["held_minor"], currency)
        note = _("once the co-op orders its bank to pay") if is_final else _("if it stayed so")
        yield Box(_("To be paid to you"), now, note)
        others = sum(document[f"{name}_minor"] for name in BESIDES)
        if others:
            note = _("what you owe, tax, the community or an earlier loss; see below")
            yield Box(_("Taken from it"), amount_text(others, currency), note)
        kept = amount_text(document["retained_minor"] - document["loss_met_minor"], currency)
        note = _("in the co-op, until it decides to pay it back (retained patronage)")
        yield Box(_("Kept in your name"), kept, note)
    is_apart = document["format"] == FORMAT
    everyone = everyones(co_op) if is_apart else co_op["result_minor"] - co_op["pool_minor"]
    if everyone > 0:
        note = _("reserves and funds, in nobody’s name; see below")
        yield Box(_("Everyone’s"), amount_text(everyone, currency), note)
    met = co_op["accounts"].get("loss:carried", 0)
    if is_apart and met > 0:
        note = _("the co-op’s, before anything comes back to members")
        yield Box(_("Meets earlier losses"), amount_text(met, currency), note)


def parts(co_op: Mapping[str, Any], *, is_apart: bool = True) -> list[Part]:
    """All that came in, cut into what each kind of cost took, what members share, and the rest.

    Of a loss: what was covered, and what was not. With `is_apart` false the rest is one part, as closed years told it
    before interest on shares and earlier losses had parts of their own.
    """
    cost, result = co_op["costs_minor"], co_op["result_minor"]
    if result < 0:
        wanted = [(_("covered by what came in"), "out", cost + result), (_("missing"), "gap", -result)]
        return cut(wanted, of_minor=cost)
    costs = co_op["costs"]
    wanted = [
        (cost_words(pool), SHADES[place % len(SHADES)], amount)
        for place, (pool, amount) in enumerate(costs.items())
    ]
    shared = co_op["pool_minor"]
    everyone = everyones(co_op) if is_apart else result - shared
    wanted += [
        (_("shared among the members"), "back", shared),
        (_("everyone’s: reserves and funds"), "in", everyone),
    ]
    if is_apart:
        accounts = co_op["accounts"]
        wanted += [
            (account_words(name, accounts.get(name, 0)), "gap", accounts.get(name, 0)) for name in TOLD_APART
        ]
    return cut(wanted, of_minor=cost + result)


def _picture(document: Mapping[str, Any]) -> Picture | None:
    co_op, year = document["co_op"], document["fiscal_year"]
    found = parts(co_op, is_apart=document["format"] == FORMAT)
    if not found:
        return None
    if co_op["result_minor"] < 0:
        title = _("What the service cost in {when}, and how much of it came in", when=year)
    else:
        title = _("All that came in in {when}, and where it goes", when=year)
    return Picture(title, _("One bar, cut into parts. The key below has the same amounts."), found)


def _sections(document: Mapping[str, Any], *, is_final: bool) -> Iterator[Section]:
    if document["shares"]:
        yield _sum(document)
    if not is_customer(document):
        yield _own(document, is_final=is_final)
        if "capital" in document:
            yield _capital(document)
    yield _whole(document)
    if document["steps"]:
        yield _steps(document)
    if document.get("compared"):
        yield _compared(document)
    if not is_customer(document):
        yield _say(document)


def _sum(document: Mapping[str, Any]) -> Section:
    currency = document["currency"]
    lines: list[tuple[str, ...]] = []
    for share in document["shares"]:
        *found, last = sum_pieces(share, currency)
        lines.append(
            (*found, f"{last} {exact_words(share)} ", amount_text(share["amount_minor"], currency))
        )  # fmt: skip
    return Section(_("Your line of the sum"), lines)


def _own(document: Mapping[str, Any], *, is_final: bool) -> Section:
    currency = document["currency"]
    rows = [(words, number_text(amount, currency)) for words, amount in settled(document)]
    is_loss = document["amount_minor"] < 0 or is_spared(document)
    told = [(words,) for _kind, _minor, words in kinds(document)]
    heading = _("What you bear") if is_loss else _("What you get") if is_final else _("What you would get")
    return Section(
        heading,
        told,
        table=Table(_("Your part of the year; allocated is not paid"), (_("What"), currency), rows),
        after="" if is_loss else _("It is not profit for investors, not a discount, and not guaranteed."),
    )


def _capital(document: Mapping[str, Any]) -> Section:
    """The member's account with the co-op by years, as this closing left it."""
    currency, lots = document["currency"], document["capital"]
    if not lots:
        return Section(_("Your capital account"), [(_("Nothing is kept in your name."),), *unmet(document)])
    columns = ("opening", "added", "taken", "paid_back", "closing")
    rows = [
        (one["words"], *(number_text(one[f"{column}_minor"], currency) for column in columns)) for one in lots
    ]
    sums = [number_text(sum(one[f"{column}_minor"] for one in lots), currency) for column in columns]
    heads = (
        _("Kept from"), _("Before"), _("Added"), _("Taken for losses"), _("Paid back"),
        _("Now, {currency}", currency=currency),
    )  # fmt: skip
    caption = _(
        "What is kept in your name, year by year; from the beginning of {month} to this closing",
        month=month_text(Month.parse(document["first_month"])),
    )
    table = Table(caption, heads, rows, (_("All years"), *sums), numbers=5)
    why_kept = _(
        "Why some is kept: what stays in the co-op buys disks and spares without loans, and carries it through a bad "
        "year. What is in your name stays yours; when it is paid back, the board decides, the oldest year first as a "
        "rule. It is not promised."
    )
    return Section(_("Your capital account"), unmet(document), table, why_kept)


def _whole(document: Mapping[str, Any]) -> Section:
    currency, co_op = document["currency"], document["co_op"]
    rows = [(_("came in: charges"), number_text(charged(co_op), currency))]
    rows += [(_income(name), number_text(amount, currency)) for name, amount in co_op["side_income"].items()]
    rows += [(cost_words(name), number_text(-amount, currency)) for name, amount in co_op["costs"].items()]
    is_left = co_op["result_minor"] >= 0
    result = _("left over (the year’s result)") if is_left else _("missing (the year’s result)")
    rows += [(result, number_text(co_op["result_minor"], currency))]
    rows += [(pool_words(document, within=True), number_text(co_op["pool_minor"], currency))]
    rows += [
        (_("of it {account}", account=account_words(name, amount)), number_text(amount, currency))
        for name, amount in co_op["accounts"].items()
    ]
    heading = _("What becomes of the whole") if is_left else _("What was missing, and who bears it")
    return Section(heading, table=Table(_("The whole co-op’s year"), (_("What"), currency), rows))


def _income(account: str) -> str:
    kind = account.removeprefix("income:")
    known = CAME_IN.get(kind)
    return _("came in: {income}", income=kind.replace("-", " ")) if known is None else _(known)


def _steps(document: Mapping[str, Any]) -> Section:
    currency = document["currency"]
    rows = [
        (phrase(one["name"]), phrase(one["formula"]), number_text(one["amount_minor"], currency))
        for one in document["steps"]
    ]
    table = Table(_("Every step of the closing, in order"), (_("Step"), _("How"), currency), rows)
    return Section(_("What did not go to members, and why"), table=table)


def _compared(document: Mapping[str, Any]) -> Section:
    rows = [
        (one["provider"], phrase(one["region"]), _source(one), _amount(one))
        for one in document["compared"]["providers"]
    ]
    heads = (_("Provider"), _("Region"), _("Source"), _("Amount"))
    links = [one["link"] if site_of(one["link"]) else "" for one in document["compared"]["providers"]]
    table = Table(_("The same use by others’ list prices"), heads, rows, links=links)
    strong = {"charged": amount_text(document["charges_minor"], document["currency"])}
    if document["amount_minor"] > 0:
        said = pieces(
            "The use of your closed months, at the list prices of others; you were charged {charged} here, of which "
            "your share above comes back to you.", strong
        )  # fmt: skip
    else:
        said = pieces(
            "The use of your closed months, at the list prices of others; you were charged {charged} here.",
            strong,
        )
    return Section(
        _("Compared with list prices"), [said], table, phrase(document["compared"]["not_compared"])
    )


def _source(one: Mapping[str, Any]) -> str:
    """Whose page the prices are from, and of which day they are; as much of both as is known."""
    site, day = site_of(one["link"]), one["dated"]
    if not site:
        return _("as of {day}", day=day) if day else _("undated")
    return _("{site}, as of {day}", site=site, day=day) if day else _("{site}, undated", site=site)


def _amount(one: Mapping[str, Any]) -> str:
    amount = amount_text(one["amount_minor"], one["currency"])
    return _("at least {amount}", amount=amount) if one["missing"] else amount


def _say(document: Mapping[str, Any]) -> Section:
    lines: list[tuple[str, ...]] = []
    decision = document.get("decision")
    if decision is not None:
        strong = {"body": phrase(decision["body"]), "id": decision["id"]}
        told = {"day": day_text(date.fromisoformat(decision["decided_on"])), "text": decision["text"]}
        votes = decision["votes"]
        if votes:
            found = pieces(
                "This was decided by the {body} on {day} ({in_favour} for, {against} against, {abstained} abstained), "
                "resolution {id}: “{text}”", strong, **told, **votes
            )  # fmt: skip
        else:
            found = pieces(
                "This was decided by the {body} on {day}, resolution {id}: “{text}”", strong, **told
            )
        lines.append(found)
    lines.append((_votes(document),))
    return Section(_("Your say"), lines)


def _votes(document: Mapping[str, Any]) -> str:
    """Who votes by the year's rules, and whether this member does."""
    voting = document.get("voting")
    classes = set(VOTERS) if voting is None else set(voting["classes"])
    if voting is None or (not voting["chambers"] and classes == set(VOTERS)):
        told = _(
            "The co-op belongs to its members, and decides in meetings: one member, one vote, whatever they use or hold. "
            "You can look into its books, propose, and ask the board."
        )
    elif voting["chambers"]:
        parts = ", ".join(f"{_class_words(name)} {weight}" for name, weight in voting["chambers"].items())
        told = _(
            "The co-op belongs to its members, and decides in meetings. Each has one vote in the chamber of their class, "
            "whatever they use or hold, and the chambers weigh: {parts}. You can look into its books, propose, and ask the board.",
            parts=parts,
        )  # fmt: skip
    else:
        names = ", ".join(_class_words(name) for name in voting["classes"])
        others = ", ".join(_class_words(name) for name in VOTERS if name not in classes)
        told = _(
            "The co-op belongs to its members, and decides in meetings. One vote each, whatever they use or hold: {names}. "
            "No vote: {others}. You can look into its books, propose, and ask the board.",
            names=names, others=others,
        )  # fmt: skip
    has_vote = voting is None or set(document["member"]["classes"]) & set(voting["chambers"] or classes)
    return told if has_vote else f"{told} {_('Your class has no vote by these rules.')}"


def _class_words(name: str) -> str:
    return {"user": _("users"), "worker": _("workers"), "supporter": _("supporters")}[name]


def _foot(document: Mapping[str, Any]) -> Iterator[str]:
    told = {"rules": document["rule_set"], "id": document["resolution"]}
    if document["resolution"]:
        yield _(
            "This is not a bill and not a cheque. Rules: {rules}. Decided by resolution {id}; closed on {closed}.",
            closed=instant_again(document["closed"]), **told,
        )  # fmt: skip
    else:
        yield _("This is not a bill and not a cheque. Rules: {rules}.", **told)
    yield check_us(f"weir verify {document['member']['name']} {document['fiscal_year']}")
