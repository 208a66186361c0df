"""What members are told of a year with a loss: whose it is, who bears it, and what of it is still to be met."""

from __future__ import annotations

from typing import Any

import pytest

from billing.statements.paper import Paper, Section
from billing.statements.year_paper import year_paper
from billing.tongue import speaking
from billing.year_statement import year_text
from tests.unit.test_papers import CAPITAL, PAGE, line, told, words_of

CARRIED = PAGE | {
    "rule_set": "plain", "costs": {"transit": 10_001}, "side_income": {}, "result": "-84.33", "pool": "0.00",
    "accounts": {"loss:carried": "-84.33"}, "class_pools": {"user": "0.00"}, "measures": {"user": "1568"}, "steps": [],
}  # fmt: skip
"""A first year by plain rules: it cost 100.01, and 15.68 was charged."""
FROM_RESERVE = CARRIED | {
    "rule_set": "es", "result": "-401.25", "pool": "-321.00", "class_pools": {"user": "-321.00"},
    "accounts": {"reserve:compulsory": "-80.25"},
}  # fmt: skip
"""By Spanish rules: 20 % of a loss of 401.25 is met from the reserve, and members bear the rest."""
COLLECTIVE = CARRIED | {"rule_set": "us-selc", "accounts": {"collective:main": "-84.33"}}
"""A first or second year by the rules of SELC."""


def paper_of(page: dict[str, Any], amount: int = 0, **more: Any) -> Paper:
    """The paper of a member who was charged 15.68."""
    return year_paper(told(page, line(amount, charges=1_568), **more), is_over=True)


def section(paper: Paper, heading: str) -> Section:
    (found,) = [one for one in paper.sections if one.heading == heading]
    return found


@pytest.mark.parametrize(
    ("page", "language", "words", "amount"),
    [
        (CARRIED, "en", "of it carried forward, to be met from coming surpluses", "-84.33"),
        (CARRIED, "de", "davon vorgetragen, aus kommenden Überschüssen zu decken", "-84,33"),
        (CARRIED, "es", "de ello arrastrado, para cubrirlo con excedentes venideros", "-84,33"),
        (FROM_RESERVE, "en", "of it met from the reserve that the rules ask for", "-80.25"),
        (FROM_RESERVE, "de", "davon aus der Rücklage gedeckt, die die Regeln verlangen", "-80,25"),
        (FROM_RESERVE, "es", "de ello cubierto con la reserva que piden las reglas", "-80,25"),
        (COLLECTIVE, "en", "of it borne by all of us, in nobody's name (collective account)", "-84.33"),
        (COLLECTIVE, "de", "davon von uns allen getragen, auf niemandes Namen (Gemeinschaftskonto)", "-84,33"),
        (COLLECTIVE, "es", "de ello asumido por todas y todos, a nombre de nadie (cuenta colectiva)", "-84,33"),
    ],
)  # fmt: skip
def test_an_account_that_bears_a_loss_is_not_said_to_get_anything(
    page: dict[str, Any], language: str, words: str, amount: str
) -> None:
    with speaking(language):
        document = told(page, line(0, charges=1_568))
        paper, text = year_paper(document, is_over=True), year_text(document)
    tables = [one.table for one in paper.sections if one.table is not None]
    assert (words, amount) in [row for table in tables for row in table.rows]
    # The text says the same after the heading, without "of it".
    bare = words.removeprefix("of it ").removeprefix("davon ").removeprefix("de ello ")
    assert bare in text
    # What meets losses of earlier years is another thing, and there were none.
    for earlier in ("earlier years", "früherer Jahre", "años anteriores"):
        assert earlier not in text


def test_in_a_good_year_the_same_accounts_get_and_are_said_to() -> None:
    accounts = {"loss:carried": "84.33", "reserve:compulsory": "100.00", "collective:main": "120.67"}
    paper = paper_of(PAGE | {"accounts": accounts}, 36_902)
    table = section(paper, "What becomes of the whole").table
    assert table is not None
    assert [
        ("of it meets losses of earlier years", "84.33"), ("of it reserve that the rules ask for", "100.00"),
        ("of it kept by all of us, in nobody's name (collective account)", "120.67"),
    ] == list(table.rows)[-3:]  # fmt: skip


SPARED = {
    "plain": (
        CARRIED, "none: it is carried forward, and coming surpluses meet it first",
        "84.33 EUR of it is carried forward: coming surpluses meet it before anything comes back to members.",
    ),
    "us-selc": (
        COLLECTIVE, "none: all of us bear it, in nobody’s name",
        "All of us bear 84.33 EUR of it together, in nobody’s name (collective account).",
    ),
    "es": (
        FROM_RESERVE, "none, by the co-op’s rules; who bears it stands below",
        "The co-op’s reserves meet 80.25 EUR of it. Members bear 321.00 EUR of it, from what they would get in coming years.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("rules", SPARED)
def test_who_bears_nothing_of_a_loss_is_told_who_does_and_of_no_surplus(rules: str) -> None:
    page, note, who = SPARED[rules]
    document = told(page, line(0, charges=1_568))
    paper, text = year_paper(document, is_over=True), year_text(document)
    assert ("Your part of the loss", "0.00 EUR", note) == (
        paper.boxes[-1].words, paper.boxes[-1].figure, paper.boxes[-1].note,
    )  # fmt: skip
    assert () == paper.below
    assert (
        f"By the co-op’s rules no part of the loss is yours, and nobody is billed for it. {who}"
        == paper.meaning
    )
    own = section(paper, "What you bear")
    assert own.table is not None
    assert ([("Your part of the loss", "0.00")], "") == (own.table.rows, own.after)
    said = " ".join([text, *(box.words + box.note for box in (*paper.boxes, *paper.below)), own.after])
    for surplus in (
        "What you get",
        "left over",
        "To be paid to you",
        "Comes back",
        "Allocated to you",
        "shared among",
    ):
        assert surplus not in said
    assert "borne by the members" in text


def test_in_a_year_without_a_loss_nothing_for_one_member_is_told_as_before() -> None:
    paper = paper_of(PAGE)
    assert ("Comes back to you", "0.00 EUR") == (paper.boxes[-1].words, paper.boxes[-1].figure)
    assert (
        "No part of the year's result is yours: shares follow use and work, by the co-op's rules."
        == paper.meaning
    )


def test_a_loss_of_the_members_is_one_though_others_brought_more() -> None:
    """50.00 missing of members' business, 150.00 earned with others: the whole is above zero, and nothing is shared."""
    accounts = {"collective:main": "150.00", "loss:carried": "-50.00"}
    paper = paper_of(CARRIED | {"result": "100.00", "accounts": accounts})
    assert "none: it is carried forward, and coming surpluses meet it first" == paper.boxes[-1].note
    # And the other way round members share though the whole is below zero.
    shared = {"pool": "30.00", "class_pools": {"user": "30.00"}, "accounts": {"collective:main": "-114.33"}}
    assert "Comes back to you" == paper_of(CARRIED | shared, 3_000).boxes[-1].words


@pytest.mark.parametrize(
    ("language", "heading", "sentence"),
    [
        (
            "en",
            "Your capital account",
            "Your part of the loss of 2025 that is still to be met: 1,985.20 EUR.",
        ),
        ("de", "Dein Kapitalkonto", "Dein Teil des Verlusts von 2025, der noch zu decken ist: 1.985,20 EUR."),
        ("es", "Tu cuenta de capital", "Tu parte de la pérdida de 2025 que queda por cubrir: 1.985,20 EUR."),
    ],
)
@pytest.mark.parametrize("lots", [0, 3])
def test_what_is_still_to_be_met_stands_with_the_capital_account_whatever_is_kept(
    language: str, heading: str, sentence: str, lots: int
) -> None:
    losses = [{"words": "2025", "unmet_minor": 198_520}]
    with speaking(language):
        paper = paper_of(PAGE, 36_902, capital=CAPITAL[:lots], losses=losses)
    found = section(paper, heading)
    # A no-break space keeps amount and currency on one line.
    assert sentence in ["".join(one).replace("\xa0", " ") for one in found.paragraphs]
    assert (lots > 0) == (found.table is not None)
    assert sentence in words_of(paper)
