"""Acts, caps and amounts of the offices' pages, told in each language: what is kept never changes, only the telling."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.acts.act import OFFICE_WORDS, Act, Actor, Held, Office
from billing.costs.costing import booked_words
from billing.costs.invoices import Invoice
from billing.costs.variance import NO_POOL, NO_SERVICE, Row
from billing.ledger.reports import Report, Section
from billing.pages import environment, retold
from billing.portal.acts_pages import rows
from billing.portal.caps import caps_again
from billing.portal.our_coop import Closed, of_a_thousand
from billing.portal.treasury import of_pools, report_csv, services, typed_amount
from billing.tongue import LANGUAGES, SOURCE, phrase, read_catalogue, speaking
from billing.words import hundredths_text, list_text, month_told
from meter.caps import Cap, Caps, caps_text
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.window import Month
from tests.catalogues import of_code

OTHERS = [one for one in LANGUAGES if one != SOURCE]
OCTOBER = Month(2026, 10)
SIZES = st.none() | st.integers(0, 10**18)
ACTS = {
    "close the month 2026-10: result 1,234.50 EUR, digest abc": (
        "den Monat 2026-10 abschließen: Ergebnis 1.234,50 EUR, Prüfsumme abc",
        "cerrar el mes 2026-10: resultado 1.234,50 EUR, huella abc",
    ),
    "make anna member of the board": (
        "anna ein Amt im Vorstand geben",
        "dar a anna un cargo en el consejo rector",
    ),
    "end that anna is treasurer": (
        "das Amt von anna in der Kasse beenden",
        "terminar que anna lleve la tesorería",
    ),
    "enter resolution 2026-1 of the board": (
        "Beschluss 2026-1 eintragen (Vorstand)",
        "apuntar el acuerdo 2026-1 (consejo rector)",
    ),
    "order payment batch 7: 1,204 payments, 12,345.00 EUR": (
        "Sammelauftrag 7 in Auftrag geben: 1.204 Zahlungen, 12.345,00 EUR",
        "ordenar el lote de pagos 7: 1.204 pagos, 12.345,00 EUR",
    ),
    "look at a member's use and limits": (
        "Nutzung und Grenzen eines Mitglieds ansehen",
        "mirar el uso y los límites de una persona socia",
    ),
    "audit journal, sums and storage: 1,003 differences: late, torn": (
        "Journal, Summen und Speicher prüfen: 1.003 Abweichungen: late, torn",
        "auditar diario, sumas y almacenamiento: 1.003 diferencias: late, torn",
    ),
    "the command line (root)": ("die Befehlszeile (root)", "la línea de comandos (root)"),
    "2026-10 is closed; book the invoice in a month that is open": (
        "2026-10 ist abgeschlossen; buch die Rechnung in einem offenen Monat",
        "2026-10 está cerrado; apunta la factura en un mes abierto",
    ),
}


@pytest.mark.parametrize("kept", ACTS)
def test_an_act_is_told_again_with_its_values(kept: str) -> None:
    told = []
    for language in ("de", "es"):
        with speaking(language):
            told.append(phrase(kept))
    assert ACTS[kept] == tuple(told)
    assert kept == phrase(kept)


@pytest.fixture(scope="module")
def acts_of_code() -> list[str]:
    """What pages and commands do in an office, with a {place} for each value."""
    starts = ("deploy/commands/", "deploy/bundling", "billing/portal/")
    verbs = re.compile(
        r"(add|adjust|attach|audit|book|cancel|carry|change|choose|close|compare|correct|end|enter|give|let|limit|look|make|move"
        r"|note|open|order|pay|print|put|read|reverse|revoke|set|settle|share|take|try|turn) "
    )
    return sorted(
        {
            one.message
            for one in of_code()
            if isinstance(one.message, str) and one.place.startswith(starts) and verbs.match(one.message)
        }
    )


@pytest.mark.parametrize("language", OTHERS)
def test_no_act_is_taken_for_another(language: str, acts_of_code: list[str]) -> None:
    """Each filled with values is told by its own translation, whatever other sentence is like it."""
    assert len(acts_of_code) > 80
    catalogue = read_catalogue(language)
    wrong = []
    for one in acts_of_code:
        names = set(re.findall(r"\{(\w+)\}", one)) - {"body"}
        values = {name: f"v{place}" for place, name in enumerate(sorted(names))}
        message = catalogue.get(one)
        assert message is not None, one
        # The same sentence of two commands, whose place has another name in each, is translated alike.
        filled = {"body": "board", **values}
        expected = str(message.string).format(**{**filled, "body": str(catalogue.get("board").string)})  # type: ignore[union-attr]
        with speaking(language):
            told = phrase(one.format(**filled))
        if told != expected:
            wrong.append((one, told))
    assert [] == wrong


@pytest.mark.parametrize("language", OTHERS)
def test_an_act_nobody_translated_is_marked_as_english_and_escaped(language: str) -> None:
    with speaking(language):
        assert '<span lang="en">paint &lt;b&gt;</span>' == retold("paint <b>")
        page = environment(language).from_string("{{ kept | retold }}{{ known | retold }}")
        made = page.render(kept="<i>", known="look at a member's use")
        assert made.startswith('<span lang="en">&lt;i&gt;</span>')
        assert 1 == made.count("<span")
    assert "paint <b>" == retold("paint <b>")


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=50)
@given(sizes=st.tuples(SIZES, SIZES, SIZES, SIZES))
def test_caps_that_were_set_are_told_again_size_by_size(
    language: str, sizes: tuple[int | None, int | None, int | None, int | None]
) -> None:
    kept = caps_text(Caps(Cap(sizes[0], sizes[1]), Cap(sizes[2], sizes[3])))
    with speaking(language):
        told = caps_again(kept)
        assert told is not None
        assert [one for one in sizes if one is not None] == [
            int(re.sub(r"[.,]", "", one)) for one in re.findall(r"\d[\d.,]*", told)
        ]
        assert len([one for one in sizes if one is not None]) or told


def test_what_is_no_line_of_caps_is_not_taken_for_one() -> None:
    with speaking("de"):
        assert [None] * 4 == [
            caps_again(one)
            for one in (
                "",
                "warn at 5 bytes sent in a month, and more",
                "refuse at 05 bytes stored at once",
                "refuse at 5 bytes stored at once, warn at 4 bytes sent in a month",
            )
        ]
        assert (
            "Warnen bei 80.000 in einem Monat gesendeten Byte. Ablehnen bei 5 auf einmal gespeicherten Byte."
            == caps_again("warn at 80,000 bytes sent in a month, refuse at 5 bytes stored at once")
        )


@pytest.mark.parametrize(
    ("language", "typed", "read"),
    [
        ("en", "412.00", "412.00"),
        ("en", "412,00", "412,00"),
        ("de", "412,00", "412.00"),
        ("de", "412.00", "412.00"),
        ("es", "1234,5", "1234.5"),
        ("es", "1.234,50", None),
        ("de", "1.000", None),
        ("de", "1,000", None),
        ("de", "12.345.678", None),
        ("de", "1,2,3", "1,2,3"),
        ("es", "", ""),
    ],
)
def test_an_amount_is_read_with_the_readers_mark_and_never_guessed(
    language: str, typed: str, read: str | None
) -> None:
    with speaking(language):
        if read is None:
            with pytest.raises(Refusal, match="two amounts"):
                typed_amount(typed)
        else:
            assert read == typed_amount(typed)


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", ["1,000.00 JPY", "657.14", "2026-10", "no month", "user", "user and worker"]),
        ("de", ["1.000,00 JPY", "657,14", "Oktober 2026", "no month", "Nutzer:in", "Nutzer:in und Mitarbeiter:in"]),
        ("es", ["1.000,00 JPY", "657,14", "octubre de 2026", "no month", "persona usuaria",
                "persona usuaria y persona trabajadora"]),
    ],
)  # fmt: skip
def test_round_examples_months_and_lists_in_each_language(language: str, told: list[str]) -> None:
    # 3,500 of a currency without minor units were charged, and it cost 2,300: of a thousand, 657.14.
    found = of_a_thousand(Closed(OCTOBER, OCTOBER, "JPY", 3500, {"rack": 2300}))
    assert (65_714, 34_286) == found
    with speaking(language):
        assert told == [
            one.replace("\N{NO-BREAK SPACE}", " ")
            for one in (
                hundredths_text(100_000, "JPY"), hundredths_text(found[0]), month_told("2026-10"), month_told("no month"),
                list_text(["user"]), list_text(["user", "worker"]),
            )
        ]  # fmt: skip
        assert month_told(OCTOBER) == month_told("2026-10")


def test_rows_have_words_and_a_pool_keeps_its_name() -> None:
    with speaking("de"):
        assert ["An Lesende gesendet", "kein Dienst"] == [
            one.name for one in services([Row("gb_out", 1, 2), Row(NO_SERVICE, 0, 1)])
        ]
        # A pool may be called as some word of ours is.
        assert ["surplus", "kein Topf"] == [
            one.name for one in of_pools([Row("surplus", 1, 2), Row(NO_POOL, 0, 1)])
        ]


def test_a_report_for_a_spreadsheet_is_the_same_for_every_reader() -> None:
    report = Report("balance-sheet", None, OCTOBER, (Section("assets", (("bank:main", 5),)),), None, ())
    made = set()
    for language in LANGUAGES:
        with speaking(language):
            made.add(report_csv(report, "EUR"))
    assert 1 == len(made)
    assert "Money in the bank" in made.pop()


def test_what_is_kept_of_an_act_is_in_one_language_whoever_acts() -> None:
    one = Invoice(7, OCTOBER, "rack", 123_450, "EUR", "", 0)
    back = Invoice(8, OCTOBER, "rack", -100, "EUR", "", 0, credits=7)
    for language in LANGUAGES:
        with speaking(language):
            assert "book invoice 7: 1,234.50 EUR in pool rack of 2026-10" == booked_words(one)
            assert (
                "book credit note of invoice 7, number 8: -1.00 EUR in pool rack of 2026-10"
                == booked_words(back)
            )


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", ["tom is treasurer since", "(resolution 2026-1).", "until"]),
        ("de", ["tom: Kasse seit", "(Beschluss 2026-1).", "bis"]),
        ("es", ["tom: tesorería desde el", "(acuerdo 2026-1).", "hasta el"]),
    ],
)
def test_who_holds_an_office_is_a_sentence_of_each_language(language: str, told: list[str]) -> None:
    start = OCTOBER.start_us
    held = [
        Held(1, MemberId(1), "tom", Office.TREASURER, start, until, resolution, "x")
        for until in (None, OCTOBER.end_us)
        for resolution in (None, "2026-1")
    ]
    with speaking(language):
        made = environment(language).get_template("held.html").render(held=held, words=OFFICE_WORDS)
        sentences = re.findall(r"<li>(.*?)</li>", made)
    assert [4, 2, 2] == [sum(words in one for one in sentences) for words in told]


def test_who_acts_at_the_command_line_is_told_and_a_member_is_not() -> None:
    """A member may be called as some word of ours is."""
    actors = (Actor.at_the_command_line("maria"), Actor(MemberId(1), "rest"))
    acts = [
        Act(1, 0, one, Office.BOARD, "proposal add", None, "enter a proposal", "", True, b"", b"")
        for one in actors
    ]
    with speaking("de"):
        made = environment("de").get_template("acts_table.html").render(acts=acts, caption="x")
        assert ["die Befehlszeile (maria)", "rest"] == re.findall(r"UTC</td><td>([^<]*)</td>", made)
        assert ["die Befehlszeile (maria)", "rest"] == [one["who"] for one in rows(acts, MemberId(9))]
        assert "Rest" == phrase("rest")


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", ["1,000.00 JPY", "would have cost 657.14 JPY, and 342.86 JPY of it", "From 2026-10", "3,500 JPY"]),
        ("de", ["1.000,00 JPY", "hätte die Nutzung dahinter 657,14 JPY gekostet", "Von Oktober 2026", "3.500 JPY"]),
        ("es", ["1.000,00 JPY", "habría costado 657,14 JPY, y 342,86 JPY de ello", "De octubre de 2026", "3.500 JPY"]),
    ],
)  # fmt: skip
def test_the_example_of_a_thousand_has_two_decimals_in_a_currency_that_has_none(
    language: str, told: list[str]
) -> None:
    found = Closed(OCTOBER, OCTOBER, "JPY", 3500, {"rack": 2300})
    own = {
        "found": found,
        "thousand": of_a_thousand(found),
        "currency": "JPY",
        "rules": None,
        "is_customer": False,
    }
    with speaking(language):
        page = environment(language).get_template("how_surplus.html")
        made = page.render(own=own, visitor=None, title="x", topics={}, following=None)
    made = made.replace("\N{NO-BREAK SPACE}", " ")
    assert [] == [one for one in told if one not in made]
