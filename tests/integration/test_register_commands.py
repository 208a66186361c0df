"""The commands of the register, as somebody types them: what they say, what they refuse, what they keep."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., str]
REFUSED, DISAGREES = 2, 1


@pytest.fixture
def weir(typed: Command, tmp_path: Path) -> Command:
    """Command lines of a co-op with a tariff."""
    tariff = tmp_path / "tariff.toml"
    tariff.write_text(
        'currency = "EUR"\neffective_from = "2020-01"\ngb_out = "1"\ngb_in = "0"\ngb_month = "0"\n'
        'requests_a_1000 = "0"\nrequests_b_1000 = "0"\n'
    )
    typed("tariff", "set", tariff)
    return typed


def read(text: str) -> Any:
    return json.loads(text)


def test_shares_from_kind_to_print(weir: Command, tmp_path: Path) -> None:
    for name, kind in (("anna", "user"), ("ben", "user"), ("shop", "customer")):
        said = weir("member", "add", name, "--class", kind)
    assert said.startswith("shop is customer 3;")
    weir("share", "kind", "member", "--par", "64.00", "--held-by", "user", "--interest-max", "5.25")
    (kind,) = read(weir("share", "kind", "--json"))["kinds"]
    assert (6400, 52_500, ["user"]) == (kind["par_minor"], kind["interest_max_millionths"], kind["held_by"])
    weir("share", "subscribe", "anna", "3")
    paid = read(weir("share", "pay", "anna", "128.00", "--json"))
    assert (5, 1) == (paid["operation"]["number"], paid["operation"]["entry"])
    weir("share", "transfer", "anna", "ben", "2")
    weir("share", "redeem", "ben", "1", "--owed")
    assert [("anna", 1, 6400, 0), ("ben", 1, 6400, 0)] == [
        (one["member"], one["shares"], one["paid_minor"], one["owing_minor"])
        for one in read(weir("share", "list", "--json"))["holdings"]
    ]
    weir("share", "correct", "6", "--why", "typed twice", status=REFUSED)
    weir("share", "correct", "7", "--why", "typed twice")
    weir("register", "address", "anna", "--name", "Anna Adams", "--postal", "1 High Street")
    file = tmp_path / "register.csv"
    weir("register", "print", "--law", "uk", "--format", "csv", "--to", file)
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert (
        "members,1,Anna Adams,1 High Street,,,1 of kind member,64.00 EUR on kind member" in file.read_text()
    )
    told = read(weir("register", "print", "--format", "json"))
    assert ("plain", ["1", "2"]) == (told["law"], [row["number"] for row in told["registers"][0]["rows"]])
    kinds = [one["kind"] for one in read(weir("register", "history", "anna", "--json"))["operations"]]
    assert ["join", "subscription", "payment", "transfer", "address"] == kinds
    assert "agree" in weir("register", "verify")


def test_what_is_refused_is_a_sentence_and_leaves_nothing(weir: Command) -> None:
    weir("member", "add", "anna")
    weir("member", "add", "shop", "--class", "customer")
    for words, sentence in (
        (("share", "subscribe", "anna", "1"), "there is no kind of shares yet"),
        (("share", "kind", "member"), "par: name what one share is worth"),
        (("share", "kind", "member", "--par", "NaN"), "par: 'NaN' is not a plain decimal"),
    ):
        assert sentence in weir(*words, status=REFUSED)
    weir("share", "kind", "member", "--par", "64.00")
    for words, sentence in (
        (("share", "subscribe", "shop", "1"), "member 2 is customer"),
        (("share", "subscribe", "anna", "0"), "shares: 0 is not between 1 and"),
        (("share", "subscribe", "anna", "1", "--kind", "gold"), "there is none named 'gold'"),
        (("share", "subscribe", "anna", "1", "--at", "2099-01-01"), "never ahead"),
        (("share", "pay", "anna", "64.00"), "would have paid 64.00 EUR on 0 shares"),
        (("share", "pay", "anna", "0"), "amount: a payment is more than 0"),
        (("share", "pay", "anna", "64.001"), "amount: '64.001' has 3 decimals"),
        (("share", "transfer", "anna", "anna", "1"), "to somebody else"),
        (("share", "correct", "99", "--why", "x"), "there is no operation 99"),
        (("share", "correct", "1", "--why", "x"), "is a join, which is not corrected"),
        (("register", "class", "anna", "worker", "--from", "2020-01"), "counts from a month to come"),
        (("register", "correct", "1", "--why", "x"), "operation 1 is no change of class"),
        (("register", "address", "anna", "--email", "x"), "email: this is no e-mail address"),
        (("register", "history", "zoe"), "there is no member 'zoe'"),
        (("register", "print", "--at", "soon"), "'soon' is not a time"),
    ):
        assert sentence in weir(*words, status=REFUSED), words
    assert ["join"] == [
        one["kind"] for one in read(weir("register", "history", "anna", "--json"))["operations"]
    ]


def test_decisions_are_kept_with_their_papers(weir: Command, data: Path, tmp_path: Path) -> None:
    for name in ("anna", "ben", "shop"):
        weir("member", "add", name, "--class", "customer" if name == "shop" else "user")
    paper = tmp_path / "minutes.txt"
    paper.write_text("We close the year as calculated.")
    digest = hashlib.sha256(paper.read_bytes()).hexdigest()
    today = read(weir("register", "history", "anna", "--json"))["operations"][0]["effective"][:10]
    add = ("resolution", "add", "as proposed", "--kind", "rule-set", "--date", today)
    count = ("--for", "2", "--against", "0", "--quorum", "2")
    made = read(weir(*add, "--body", "meeting", *count, "--document", paper, "--json"))
    assert (f"{today[:4]}-1", digest) == (made["id"], made["document_sha256"])
    assert paper.read_bytes() == (data / "documents" / digest[:2] / digest).read_bytes()
    for words, sentence in (
        (("--body", "meeting", "--for", "3", "--against", "0"), "3 were cast, and the register of"),
        (("--body", "board", "--for", "1", "--against", "1"), "1 for and 1 against carry nothing"),
        (("--body", "board", "--for", "1"), "give both --for and --against"),
        (("--body", "board", "--quorum", "1"), "quorum: without a count"),
        (("--body", "board", "--calc-hash", "x"), "calc-hash: a digest has 64"),
        (("--body", "board", "--document", "/nowhere"), "/nowhere cannot be read"),
    ):
        assert sentence in weir(*add, *words, status=REFUSED), words
    weir(
        "consent",
        "add",
        "anna",
        "--bylaws",
        "1",
        "--delivered-at",
        today,
        "--how",
        "hand",
        "--evidence",
        paper,
    )
    told = read(weir("consent", "list", "--json"))["consents"]
    assert [(1, digest, None)] == [(one["member"], one["evidence_sha256"], one["withdraws"]) for one in told]
    no_member = ("consent", "add", "shop", "--bylaws", "1", "--delivered-at", today, "--how", "hand")
    assert "by-laws bind members" in weir(*no_member, "--evidence", paper, status=REFUSED)
    weir("consent", "withdraw", "anna")
    assert "has given no such consent" in weir("consent", "withdraw", "anna", status=REFUSED)
    assert made["id"] in weir("resolution", "list")
    assert "there is no resolution '1999-1'" in weir("resolution", "show", "1999-1", status=REFUSED)
    assert "agree" in weir("register", "verify")
    kept = data / "documents" / digest[:2] / digest
    kept.chmod(0o600)
    kept.write_text("We close the year otherwise.")
    assert "was changed" in weir("register", "verify", status=DISAGREES)
    kept.unlink()
    assert "cannot be read" in weir("register", "verify", status=DISAGREES)


def test_a_rule_set_is_chosen_and_decides_how_the_register_is_printed(weir: Command, tmp_path: Path) -> None:
    weir("member", "add", "anna")
    choices = tmp_path / "choices.toml"
    choices.write_text('cash_share = "10 %"\n[class_weights]\nuser = "80"\nworker = "20"\n')
    choose = ("ruleset", "choose", "us-selc", "--from-year", "2020", "--choices", choices)
    assert "cash_share: 10 % is less than 20 %, the least that us-selc allows" in weir(
        *choose, status=REFUSED
    )
    choices.write_text('[class_weights]\nuser = "80"\nwoker = true\n')
    assert "class_weights.woker" in weir(*choose, status=REFUSED)
    choices.write_text('cash_sahre = "10 %"\n')
    assert "did you mean 'cash_share'?" in weir(*choose, status=REFUSED)
    choices.write_text('cash_share = "30 %"\n[share_rates]\nmember = "2 %"\n')
    weir(*choose)
    weir("ruleset", "choose", "uk-society", "--from-year", "2020")
    told = read(weir("ruleset", "list", "--json"))
    assert ["us-selc", "uk-society"] == [one["rule_set"] for one in told["chosen"]]
    assert 11 == len(told["known"])
    assert "uk" == read(weir("register", "print", "--format", "json"))["law"]
    assert weir("register", "print", "--language", "de").startswith("Mitgliederliste\n")
    assert "rule_set: 'us-slec' is unknown; did you mean 'us-selc'?" in weir(
        "ruleset", "choose", "us-slec", "--from-year", "2020", status=REFUSED
    )
    assert "2099-1 is no resolution" in weir(
        "ruleset", "choose", "es", "--from-year", "2020", "--resolution", "2099-1", status=REFUSED
    )
    assert "20 %" in weir("ruleset", "show", "us-selc")


def test_two_thirds_of_a_meeting_or_the_board_alone_do_not_change_the_rules_of_a_german_co_op(
    weir: Command,
) -> None:
    """Genossenschaftsgesetz § 16(2): three quarters of the votes cast."""
    for name in ("anna", "ben", "carl"):
        weir("member", "add", name)
    today = read(weir("register", "history", "anna", "--json"))["operations"][0]["effective"][:10]
    add = ("resolution", "add", "other rules", "--kind", "rule-set", "--date", today)
    assert "warning: once a rule set is chosen" in weir(*add, "--body", "board")
    weir("ruleset", "choose", "de-eg", "--from-year", "2020")
    assert "carry nothing by the rules de-eg" in weir(
        *add, "--body", "meeting", "--for", "2", "--against", "1", status=REFUSED
    )
    assert "the members' meeting changes the rules" in weir(*add, "--body", "board", status=REFUSED)
    assert "entered" in weir(*add, "--body", "meeting", "--for", "3", "--against", "0")


def test_hours_are_of_workers_and_exact(weir: Command) -> None:
    weir("member", "add", "wim", "--class", "worker")
    weir("member", "add", "anna")
    month = read(weir("register", "history", "wim", "--json"))["operations"][0]["effective"][:7]
    add = ("hours", "add", "wim", "--period", month)
    for words, sentence in (
        (("hours", "add", "anna", "--period", month, "--hours", "1"), "anna is no worker in"),
        ((*add, "--hours", "1.0005"), "hours: '1.0005' has 4 decimals"),
        ((*add, "--hours", "745"), "is more than"),
        ((*add, "--hours", "-1"), "hours: '-1' is negative"),
        ((*add, "--hours", "1", "--factor", "0"), "factor: it is above 0"),
        ((*add, "--hours", "1", "--corrects", "1"), "there is no figure of wim"),
        (("hours", "add", "wim", "--period", "2099-01", "--hours", "1"), "2099-01 has not begun"),
        (("hours", "add", "wim", "--period", "2020-01", "--hours", "1"), "wim is no worker in 2020-01"),
    ):
        assert sentence in weir(*words, status=REFUSED), words
    weir(*add, "--hours", "120.5")
    assert "figure 1 of wim" in weir(*add, "--hours", "98", status=REFUSED)
    weir(*add, "--hours", "98", "--factor", "1.25", "--corrects", "1")
    assert [(2, 98_000, 1250)] == [
        (one["number"], one["thousandths"], one["factor_thousandths"])
        for one in read(weir("hours", "list", "--period", month, "--json"))["hours"]
    ]
    assert 2 == len(read(weir("hours", "list", "--all", "--json"))["hours"])
