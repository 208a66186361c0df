"""The statement of a fiscal year as a paper, from the document of what a member is told. Pure; it makes no figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from billing.money import format_amount, format_number
from billing.statements.paper import (
    CHECK_US,
    NOT_A_BILL,
    SHADES,
    Box,
    Paper,
    Part,
    Picture,
    Section,
    Table,
    cut,
)
from billing.words import bytes_text, month_text
from billing.year.inputs import CUSTOMER
from billing.year_statement import FINAL, MEASURES, NOT_MEMBERS, settled
from meter.window import Month

WHY_KEPT = (
    "Why some is kept: what stays in the co-op buys disks and spares without loans, and carries it through a bad year. "
    "What is in your name stays yours; when it is paid back, the board decides, the oldest year first as a rule. It is "
    "not promised."
)
YOURS = "You can look into its books, propose, and ask the board."
ONE_VOTE = f"The co-op belongs to its members, and decides in meetings: one member, one vote, whatever they use or hold. {YOURS}"
CLASS_WORDS = {"user": "users", "worker": "workers", "supporter": "supporters"}
NOT_PROFIT = "It is not profit for investors, not a discount, and not guaranteed."


def year_paper(document: Mapping[str, Any], *, is_over: bool) -> Paper:
    """The paper; `is_over` is the year, closed or not."""
    is_final = document["kind"] == FINAL
    year = document["fiscal_year"]
    as_if = f"If the year {year} were closed now" if is_over else f"If the year {year} ended now"
    member = document["member"]
    return Paper(
        title=f"Statement for the year {year}" if is_final else as_if,
        standing="Final" if is_final else "Trial: figures still change",
        is_final=is_final,
        who=f"{member['name']}, member {member['id']}",
        sentence=document["sentence"],
        meaning=document["meaning"],
        currency=document["currency"],
        boxes=tuple(_boxes(document, is_final=is_final)),
        below=tuple(_below(document, is_final=is_final)),
        picture=_picture(document),
        sections=tuple(_sections(document, is_final=is_final)),
        foot=tuple(_foot(document)),
        digest=document["digest"],
        dated_us=Month.parse(document["last_month"]).end_us,
    )


def is_customer(document: Mapping[str, Any]) -> bool:
    """Whether they bought and were no member."""
    classes: list[str] = document["member"]["classes"]
    return classes == [CUSTOMER]


def _boxes(document: Mapping[str, Any], *, is_final: bool) -> Iterator[Box]:
    currency, co_op, amount = document["currency"], document["co_op"], document["amount_minor"]
    used = document.get("used")
    if used is not None:
        received = f"sent to readers, {bytes_text(used['bytes_in'])} received from you"
        months = used["months"]
        yield Box(
            "You used",
            bytes_text(used["bytes_out"]),
            f"{received}, in {months} closed month{'s'[: months != 1]}",
        )
    yield Box(
        "It cost all of us", format_amount(co_op["costs_minor"], currency), "every bill of the co-op, below"
    )
    first, last = (month_text(Month.parse(document[key])) for key in ("first_month", "last_month"))
    span = f"for your use, {first} to {last}"
    yield Box("You were charged", format_amount(document["charges_minor"], currency), span)
    if is_customer(document):
        return
    if amount < 0:
        yield Box(
            "Your part of the loss", format_amount(-amount, currency), "met from coming years, never billed"
        )
    else:
        words = "Comes back to you" if is_final else "Would come back to you"
        yield Box(words, format_amount(amount, currency), "your share of what is left over, by use and work")


def _below(document: Mapping[str, Any], *, is_final: bool) -> Iterator[Box]:
    """Of what comes back: now, in your name; and beside it what is everyone's."""
    currency, co_op = document["currency"], document["co_op"]
    if not is_customer(document) and document["amount_minor"] >= 0:
        now = document["paid_minor"] + document["held_minor"]
        note = "once the co-op orders its bank to pay" if is_final else "if it stayed so"
        yield Box("To be paid to you", format_amount(now, currency), note)
        kept = document["retained_minor"] - document["loss_met_minor"]
        note = "in the co-op, until it decides to pay it back (retained patronage)"
        yield Box("Kept in your name", format_amount(kept, currency), note)
    everyone = co_op["result_minor"] - co_op["pool_minor"]
    if everyone > 0:
        yield Box(
            "Everyone’s", format_amount(everyone, currency), "reserves and funds, in nobody’s name; see below"
        )


def parts(co_op: Mapping[str, Any]) -> list[Part]:
    """All that came in, cut into what each kind of cost took, what members share, and the rest.

    Of a loss: what was covered, and what was not.
    """
    cost, result = co_op["costs_minor"], co_op["result_minor"]
    if result < 0:
        wanted = [("covered by what came in", "out", cost + result), ("missing", "gap", -result)]
        return cut(wanted, of_minor=cost)
    costs = co_op["costs"]
    wanted = [
        (_pool(pool), SHADES[place % len(SHADES)], amount)
        for place, (pool, amount) in enumerate(costs.items())
    ]
    shared = co_op["pool_minor"]
    wanted += [
        ("shared among the members", "back", shared),
        ("everyone’s: reserves and funds", "in", result - shared),
    ]
    return cut(wanted, of_minor=cost + result)


def _pool(name: str) -> str:
    """A kind of cost as it is told: 'cost: disks and power'."""
    return f"cost: {name.removeprefix('cost:').replace('-', ' ')}"


def _picture(document: Mapping[str, Any]) -> Picture | None:
    co_op, year = document["co_op"], document["fiscal_year"]
    found = parts(co_op)
    if not found:
        return None
    if co_op["result_minor"] < 0:
        title = f"What the service cost in {year}, and how much of it came in"
    else:
        title = f"All that came in in {year}, and where it goes"
    return Picture(title, "One bar, cut into parts. The key below has the same amounts.", found)


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
        own, whole = share["measure"], share["all_measures"]
        if share["class"] == "user":
            own, whole = format_number(int(own), currency), format_number(int(whole), currency)
        lines.append(
            (
                f"{MEASURES.get(share['class'], 'your measure')} ", own, f" / all {share['class']}s’ ", whole,
                " × pool ", format_number(share["class_pool_minor"], currency),
                f" = {share['exact']}, rounded so that all shares sum to the pool: ",
                format_amount(share["amount_minor"], currency),
            )
        )  # fmt: skip
    return Section("Your line of the sum", lines)


def _own(document: Mapping[str, Any], *, is_final: bool) -> Section:
    currency = document["currency"]
    rows = [(words, format_number(amount, currency)) for words, amount in settled(document)]
    is_loss = document["amount_minor"] < 0
    heading = "What you bear" if is_loss else "What you get" if is_final else "What you would get"
    return Section(
        heading,
        table=Table("Your part of the year; allocated is not paid", ("What", currency), rows),
        after="" if is_loss else NOT_PROFIT,
    )


def _capital(document: Mapping[str, Any]) -> Section:
    """The member's account with the co-op by years, as this closing left it."""
    currency, lots = document["currency"], document["capital"]
    if not lots:
        return Section("Your capital account", [("Nothing is kept in your name.",)])
    columns = ("opening", "added", "taken", "paid_back", "closing")
    rows = [
        (one["words"], *(format_number(one[f"{column}_minor"], currency) for column in columns))
        for one in lots
    ]
    sums = [format_number(sum(one[f"{column}_minor"] for one in lots), currency) for column in columns]
    begin = month_text(Month.parse(document["first_month"]))
    heads = ("Kept from", "Before", "Added", "Taken for losses", "Paid back", f"Now, {currency}")
    caption = f"What is kept in your name, year by year; from the beginning of {begin} to this closing"
    table = Table(caption, heads, rows, ("All years", *sums), numbers=5)
    return Section("Your capital account", table=table, after=WHY_KEPT)


def _whole(document: Mapping[str, Any]) -> Section:
    currency, co_op = document["currency"], document["co_op"]
    shared = "shared among the members" if co_op["pool_minor"] >= 0 else "borne by the members"
    rows = [("came in: charges", format_number(_charged(co_op), currency))]
    rows += [
        (f"came in: {_income(name)}", format_number(amount, currency))
        for name, amount in co_op["side_income"].items()
    ]
    rows += [(_pool(name), format_number(-amount, currency)) for name, amount in co_op["costs"].items()]
    is_left = co_op["result_minor"] >= 0
    result = "left over (the year’s result)" if is_left else "missing (the year’s result)"
    rows += [(result, format_number(co_op["result_minor"], currency))]
    rows += [(f"of it {shared}", format_number(co_op["pool_minor"], currency))]
    rows += [
        (f"of it {NOT_MEMBERS.get(name, name)}", format_number(amount, currency))
        for name, amount in co_op["accounts"].items()
    ]
    heading = "What becomes of the whole" if is_left else "What was missing, and who bears it"
    return Section(heading, table=Table("The whole co-op’s year", ("What", currency), rows))


def _charged(co_op: Mapping[str, Any]) -> int:
    """What everybody was charged: all that came in but the income beside it."""
    whole: int = co_op["result_minor"] + co_op["costs_minor"] - co_op["side_income_minor"]
    return whole


def _income(name: str) -> str:
    return name.removeprefix("income:").replace("-", " ")


def _steps(document: Mapping[str, Any]) -> Section:
    currency = document["currency"]
    rows = [
        (one["name"], one["formula"], format_number(one["amount_minor"], currency))
        for one in document["steps"]
    ]
    table = Table("Every step of the closing, in order", ("Step", "How", currency), rows)
    return Section("What did not go to members, and why", table=table)


def _compared(document: Mapping[str, Any]) -> Section:
    rows = [
        (one["provider"], one["region"], one["dated"] or "undated",
         ("at least " if one["missing"] else "") + format_amount(one["amount_minor"], one["currency"]))
        for one in document["compared"]["providers"]
    ]  # fmt: skip
    table = Table("The same use by others’ list prices", ("Provider", "Region", "Prices of", "Amount"), rows)
    own = format_amount(document["charges_minor"], document["currency"])
    rest = ", of which your share above comes back to you." if document["amount_minor"] > 0 else "."
    said = (
        "The use of your closed months, at the list prices of others; you were charged ",
        own,
        f" here{rest}",
    )
    return Section("Compared with list prices", [said], table, document["compared"]["not_compared"])


def _say(document: Mapping[str, Any]) -> Section:
    lines: list[tuple[str, ...]] = []
    decision = document.get("decision")
    if decision is not None:
        votes = decision["votes"]
        counted = (
            f" ({votes['in_favour']} for, {votes['against']} against, {votes['abstained']} abstained)"
            if votes
            else ""
        )
        lines.append(
            ("This was decided by the ", decision["body"], f" on {decision['decided_on']}{counted}, resolution ",
             decision["id"], f": “{decision['text']}”")
        )  # fmt: skip
    lines.append((_votes(document),))
    return Section("Your say", lines)


def _votes(document: Mapping[str, Any]) -> str:
    """Who votes by the year's rules, and whether this member does."""
    voting = document.get("voting")
    if voting is None or (not voting["chambers"] and set(voting["classes"]) == set(CLASS_WORDS)):
        return ONE_VOTE
    has_vote = bool(set(document["member"]["classes"]) & set(voting["chambers"] or voting["classes"]))
    own = "" if has_vote else " Your class has no vote by these rules."
    if voting["chambers"]:
        parts = ", ".join(f"{CLASS_WORDS[name]} {weight}" for name, weight in voting["chambers"].items())
        return (
            "The co-op belongs to its members, and decides in meetings. Each has one vote in the chamber of their class, "
            f"whatever they use or hold, and the chambers weigh: {parts}.{own} {YOURS}"
        )
    names = " and ".join(CLASS_WORDS[name] for name in voting["classes"])
    others = " and ".join(words for name, words in CLASS_WORDS.items() if name not in voting["classes"])
    return (
        f"The co-op belongs to its members, and decides in meetings: each of its {names} has one vote, whatever they use or "
        f"hold, and its {others} have none.{own} {YOURS}"
    )


def _foot(document: Mapping[str, Any]) -> Sequence[str]:
    decided = ""
    if document["resolution"]:
        decided = f" Decided by resolution {document['resolution']}; closed on {document['closed']}."
    command = f"weir verify {document['member']['name']} {document['fiscal_year']}"
    return (
        f"{NOT_A_BILL} Rules: {document['rule_set']}.{decided}",
        f"Check us: {CHECK_US.format(command=command)}",
    )
