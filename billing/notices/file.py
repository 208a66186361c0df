"""The allocations of a year as a file holds them, read into what notices are made from. Pure; it makes no notice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.money import format_amount, parse_amount, parse_decimal
from billing.notices.notice import BASE_DECIMALS, Share, Terms, Year
from meter.refusal import Refusal

TEXT_CHARACTERS_MAX = 2000


def read_year(document: Mapping[str, Any]) -> Year:
    """Read the allocations of a year: a closing's own document, or one like it, and what all notices say alike.

    Raises Refusal naming the field, also when shares do not sum to the pools.
    """
    texts = {
        name: _text(document, name) for name in ("comes_back", "tax", "see_more", "object", "decided_by")
    }
    currency = _text(document, "currency")
    year = document.get("year")
    if not isinstance(year, int) or not 1900 <= year <= 9998:
        raise Refusal("year: a year is written like 2026, without quotes")
    listed, pools = document.get("allocations"), document.get("class_pools")
    if not isinstance(listed, list) or not listed or not isinstance(pools, dict):
        raise Refusal(
            "allocations: a list of members' shares, and class_pools: the amount of each class, are needed"
        )
    netting = _text(document, "netting", empty=True) if "netting" in document else ""
    class_pools = {
        str(name): parse_amount(str(amount), currency, field=f"class_pools.{name}")
        for name, amount in pools.items()
    }
    bases = _bases(document)
    shares = tuple(_share(number, one, currency, bases) for number, one in enumerate(listed, 1))
    return _checked(
        Terms(currency, year, sum(class_pools.values()), netting=netting, **texts), class_pools, shares
    )


def _checked(terms: Terms, class_pools: Mapping[str, int], shares: tuple[Share, ...]) -> Year:
    amounts, bases = dict.fromkeys(class_pools, 0), dict.fromkeys(class_pools, 0)
    members: dict[str, tuple[Share, ...]] = {}
    for one in shares:
        if one.member_class not in class_pools:
            raise Refusal(f"allocations: {one.member} is of class {one.member_class}, which has no pool")
        if any(other.member_class == one.member_class for other in members.get(one.member, ())):
            raise Refusal(f"allocations: {one.member} stands twice in class {one.member_class}")
        amounts[one.member_class] += one.amount_minor
        bases[one.member_class] += one.base
        members[one.member] = (*members.get(one.member, ()), one)
    for name, pool in class_pools.items():
        if amounts[name] != pool:
            there = format_amount(amounts[name], terms.currency)
            raise Refusal(
                f"class_pools.{name}: {format_amount(pool, terms.currency)}, and its shares sum to {there}"
            )
    return Year(terms, class_pools, bases, members)


def _text(document: Mapping[str, Any], name: str, *, empty: bool = False) -> str:
    found = document.get(name)
    if not isinstance(found, str) or (not empty and not found.strip()):
        raise Refusal(f"{name}: the notice must say it; a text is missing")
    if len(found) > TEXT_CHARACTERS_MAX or not found.isprintable():
        raise Refusal(f"{name}: one line of at most {TEXT_CHARACTERS_MAX} characters")
    return found


def _share(
    number: int, one: object, currency: str, bases: Mapping[tuple[str, str], Mapping[str, Any]]
) -> Share:
    where = f"allocations {number}"
    if not isinstance(one, dict):
        raise Refusal(f"{where}: each is an object with id, class, base, amount, cash and retained")
    for name in ("id", "class", "amount", "cash", "retained"):
        _must_be_text(one, name, where)
    known = bases.get((one["id"], one["class"]), {})
    used = {"base": known.get("hours" if one["class"] == "worker" else "charges"), **one}
    _must_be_text(used, "base", where)
    money = {
        name: parse_amount(str(one.get(name, "0")), currency, field=f"{where}: {name}")
        for name in ("amount", "cash", "retained", "qualified", "nonqualified")
    }
    if money["cash"] + money["retained"] != money["amount"]:
        raise Refusal(f"{where}: cash and retained are not the amount")
    plain = money["retained"] - money["qualified"] - money["nonqualified"]
    if plain < 0:
        raise Refusal(f"{where}: qualified and nonqualified are more than what is retained")
    return Share(
        member=one["id"], member_class=one["class"],
        base=parse_decimal(used["base"], field=f"{where}: base", decimals_max=BASE_DECIMALS),
        amount_minor=money["amount"], cash_minor=money["cash"], qualified_minor=money["qualified"],
        nonqualified_minor=money["nonqualified"], plain_minor=plain,
        consented=one.get("consented", known.get("consent")) is True,
    )  # fmt: skip


def _must_be_text(one: Mapping[str, Any], name: str, where: str) -> None:
    if not isinstance(one.get(name), str) or not one[name]:
        raise Refusal(f"{where}: {name}: a text is missing; amounts stand in quotes, so that they stay exact")


def _bases(document: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """What members used or worked, as a closing's own document holds it, by member and class."""
    inputs = document.get("inputs")
    listed = inputs.get("members") if isinstance(inputs, dict) else None
    return {
        (str(one.get("id")), str(one.get("class"))): one
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, dict)
    }
