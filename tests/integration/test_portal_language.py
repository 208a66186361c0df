"""Which language a page, a file and a mail are in, and that nothing but the reading changes with it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from billing import year_run, year_telling
from billing.acts.act import Office
from billing.canon import canonical
from billing.portal import mailer
from billing.run import close
from billing.settings import BillingSettings
from billing.statements.month_paper import month_paper
from billing.statements.pdf import paper_pdf
from billing.statements.render import statement_text
from billing.statements.sheet import statement_csv
from billing.statements.year_paper import year_paper
from billing.tongue import LANGUAGES, SOURCE, speaking
from billing.year_statement import year_text
from meter.ids import MemberId
from tests.coop import Coop
from tests.offices import acts, holds
from tests.portal import Site, running_site
from tests.reference_year import MONTHS, decided, g18
from tests.reference_year import NOW as JANUARY_NOW
from tests.smtp import mail_server

OTHERS = [one for one in LANGUAGES if one != SOURCE]


@pytest_asyncio.fixture
async def site(co_op: Coop, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(co_op, tmp_path / "journal", BillingSettings(portal_language="es")) as one:
        yield one


async def lang(site: Site, path: str = "/caps", **headers: str) -> str:
    """The language of a page."""
    reply = await site.client.get(path, headers=headers, allow_redirects=False)
    return (await reply.text()).partition('<html lang="')[2][:2]


async def choose(site: Site, language: str, *, came: str = "", **headers: str) -> tuple[int, str | None]:
    """Press a button at the foot of a page; status, and where it leads."""
    reply = await site.client.post(
        "/language", data={"language": language}, headers={"Referer": came, **headers}, allow_redirects=False
    )
    return reply.status, reply.headers.get("Location")


async def test_a_choice_goes_before_the_browser_and_the_browser_before_the_co_op(site: Site) -> None:
    anna, ben = await site.co_op.found("anna", "ben")
    await site.sign_in(anna)
    assert "es" == await lang(site)
    assert "en" == await lang(site, **{"Accept-Language": "fr, en;q=0.5, de;q=0.4"})
    assert (303, "/") == await choose(site, "de")
    site.client.session.cookie_jar.clear()
    # Signed in elsewhere, before and after it is known who it is.
    assert "en" == await lang(site, "/login", **{"Accept-Language": "en"})
    await site.sign_in(anna)
    assert ["de", "de"] == [await lang(site, **{"Accept-Language": one}) for one in ("en", "es")]
    assert "de" == await lang(site, "/statements/1999-01")
    await site.sign_in(ben)
    assert "es" == await lang(site)


async def test_who_is_not_signed_in_chooses_for_this_browser(site: Site) -> None:
    assert "es" == await lang(site, "/login")
    assert (303, "/login") == await choose(site, "en", came=f"{site.origin}/login")
    assert ["en", "en"] == [await lang(site, one) for one in ("/login", "/nowhere")]


@pytest.mark.parametrize(
    ("came", "leads"),
    [
        ("{origin}/usage?by=bucket&from=2026-11-01", "/usage?by=bucket&from=2026-11-01"),
        ("{origin}/keys/WEIRAAAABBBBCCCCDDDD/rotate", "/"),
        ("https://evil.example/caps", "/"),
        ("{origin}//evil.example/", "/"),
        ("{origin}@evil.example/caps", "/"),
        ("/caps", "/"),
        ("", "/"),
    ],
)
async def test_the_switch_leads_back_to_a_page_of_ours_and_nowhere_else(
    site: Site, came: str, leads: str
) -> None:
    assert (303, leads) == await choose(site, "de", came=came.format(origin=site.origin))


async def test_another_site_and_an_unknown_language_change_nothing(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    assert 403 == (await choose(site, "de", Origin="https://evil.example"))[0]
    assert 400 == (await choose(site, "tlh"))[0]
    assert 400 == (await choose(site, "../../etc"))[0]
    assert "es" == await lang(site)


async def test_script_in_what_a_member_types_is_escaped_in_every_language(site: Site) -> None:
    bad = "<script>x</script>"
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    typed = {"legal_name": bad, "postal": bad, "email": "", "purposes": bad}
    assert 303 == (await site.post("/membership/address", **typed)).status
    for language in LANGUAGES:
        await choose(site, language)
        for path in ("/membership", f"/usage?from={bad}", f"/usage?format={bad}", f"/requests/{bad[:8]}"):
            page = await (await site.get(path)).text()
            assert f'<html lang="{language}">' in page
            assert "<script" not in page, (language, path)
            assert "&lt;script" in page, (language, path)


async def test_a_refusal_is_in_the_readers_language(site: Site) -> None:
    (anna,) = await site.co_op.found("anna")
    await site.sign_in(anna)
    await choose(site, "de")
    for path, words in (
        ("/usage?from=gestern", "From: „gestern“ ist kein Tag; schreib ihn als 2026-11-05."),
        ("/statements/2027-01", "2027-01 hat noch nicht begonnen."),
        ("/requests/never", "„never“ ist kein Tag."),
        ("/nowhere", "Diese Seite gibt es nicht."),
    ):
        assert words in await (await site.get(path)).text(), path


async def the_year_closed(co_op: Coop) -> MemberId:
    """The reference year, closed; its first member."""
    books, members = await g18(co_op, closed=False)
    for month in MONTHS:
        await close(books, month, now_us=JANUARY_NOW)
    await year_run.close(books, 2026, resolution=await decided(books), now_us=JANUARY_NOW)
    return members[0]


async def test_what_is_kept_and_what_programs_read_is_the_same_whoever_asks(site: Site) -> None:
    """Documents, sheets and digests in one language; page, text and PDF in the reader's, each the same when made again."""
    anna = await the_year_closed(site.co_op)
    site.now_us = JANUARY_NOW
    await site.sign_in(anna)
    files: dict[str, set[str]] = {"json": set(), "csv": set(), "text": set(), "html": set()}
    for language in LANGUAGES:
        await choose(site, language)
        for path in (
            "/years/2026",
            f"/statements/{MONTHS[0]}",
            "/usage?from=2026-01-01&to=2026-01-31&by=zone",
        ):
            for form, found in files.items():
                if not (path.startswith("/usage") and form == "text"):
                    mark = "&" if "?" in path else "?"
                    found.add(f"{path} {await site.text(f'{path}{mark}format={form}')}")
    assert any(",allocated to you," in one for one in files["csv"]), "in the source language"
    assert {"json": 3, "csv": 3, "text": 6, "html": 9} == {form: len(found) for form, found in files.items()}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_pdf_made_again_in_a_language_is_the_same_file(site: Site, language: str) -> None:
    anna = await the_year_closed(site.co_op)
    told = await year_telling.told(await site.co_op.books(), anna, 2026, now_us=JANUARY_NOW)
    with speaking(language):
        told_there = await year_telling.told(await site.co_op.books(), anna, 2026, now_us=JANUARY_NOW)
        paper = year_paper(told_there, is_over=True)
        text, sheet = year_text(told_there), statement_csv(told_there)
    assert canonical(told) == canonical(told_there)
    assert statement_csv(told) == sheet
    assert language == paper.language
    first = paper_pdf(paper)
    assert paper_pdf(paper) == first
    amount = {"en": "369.02", "de": "369,02", "es": "369,02"}[language]
    assert amount in text
    assert (f"/Lang ({language})".encode() in first) or (f"/Lang({language})".encode() in first)


async def test_a_month_tells_the_same_figures_in_each_language(site: Site) -> None:
    anna = await the_year_closed(site.co_op)
    site.now_us = JANUARY_NOW
    await site.sign_in(anna)
    told = json.loads(await site.text(f"/statements/{MONTHS[0]}?format=json"))
    digits = {}
    for language in LANGUAGES:
        with speaking(language):
            paper, text = month_paper(told), statement_text(told)
        assert (paper.sentence == told["sentence"]) == (language == SOURCE)
        rows = [
            cell
            for section in paper.sections
            if section.table
            for row in section.table.rows
            for cell in row[1:]
        ]
        digits[language] = [[one for one in cell if one.isdigit()] for cell in rows]
        assert told["digest"] in text
    assert digits["en"] == digits["de"] == digits["es"]


async def test_a_mail_is_in_the_language_its_member_chose_else_in_the_co_ops(
    co_op: Coop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailer, "PAUSE_S", 0)
    async with mail_server(tmp_path) as mails:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "mail.crt"))
        settings = BillingSettings(
            smtp_host="127.0.0.1", smtp_port=mails.port, smtp_from="coop@example.org",
            portal_url="http://portal.example", portal_language="es",
        )  # fmt: skip
        async with running_site(co_op, tmp_path / "j", settings, origin="http://portal.example") as one:
            anna, ben = await co_op.found("anna", "ben")
            owner = await co_op.owner()
            for member, email in ((anna, "a@example.org"), (ben, "b@example.org")):
                await owner.execute("UPDATE meter.member SET email = $2 WHERE id = $1", member, email)
            await one.sign_in(anna)
            await choose(one, "de")
            subjects = {}
            for email in ("a@example.org", "b@example.org"):
                # Whoever asks for it, and in which language, is not who gets it.
                await one.client.post("/login", data={"email": email}, headers={"Accept-Language": "en"})
                mail = await mails.next()
                subjects[mail["To"]] = mail["Subject"]
    assert {"a@example.org": "Dein Link zum Anmelden", "b@example.org": "Tu enlace para entrar"} == subjects


async def test_what_is_done_in_an_office_is_kept_in_one_language_and_told_in_each(site: Site) -> None:
    anna, tom, olga = await site.co_op.found("anna", "tom", "olga")
    await holds(site.co_op, tom, Office.TREASURER)
    await holds(site.co_op, olga, Office.OPERATOR)
    invoice = {
        "period": "2026-10",
        "pool": "rack",
        "amount": "1234,50",
        "supplier": "",
        "dated": "",
        "memo": "",
    }
    await site.sign_in(tom)
    await choose(site, "de")
    assert (303, "/treasurer?booked=1") == await sent(site, "/treasurer/invoices", {**invoice, "sure": "yes"})
    refused = await site.client.post("/treasurer/invoices", data={**invoice, "pool": "Rack!", "sure": "yes"})
    assert "Topf: „Rack!“ ist kein Name eines Topfs" in await refused.text()
    await site.sign_in(olga)
    await choose(site, "es")
    why = {"egress_hard": "5 GB", "why": "so asked by her", "sure": "yes"}
    assert 303 == (await sent(site, f"/operator/members/{anna}/caps", why))[0]
    assert [
        ("book invoice 1: 1,234.50 EUR in pool rack of 2026-10", ""),
        ("book an invoice in pool Rack! of 2026-10", "pool: 'Rack!' is not a pool's name; use small letters, digits and '-', at most 63, like transit"),
        ("set a member's own caps", "refuse at 5,000,000,000 bytes sent in a month. Why: so asked by her"),
    ] == [(one.what, one.detail) for one in await acts(site.co_op)]  # fmt: skip
    await site.sign_in(anna)
    told = {}
    for language in LANGUAGES:
        await choose(site, language)
        told[language] = await (await site.client.get("/acts")).text()
    assert "Rechnung 1 buchen: 1.234,50 EUR im Topf rack von 2026-10" in told["de"]
    assert "apuntar la factura 1: 1.234,50 EUR en la bolsa rack de 2026-10" in told["es"]
    assert "book invoice 1: 1,234.50 EUR in pool rack of 2026-10" in told["en"]
    sizes = (
        "refuse at 5,000,000,000 bytes",
        "Ablehnen bei 5.000.000.000 in",
        "Rechazar a los 5.000.000.000 bytes",
    )
    for language, size in zip(("en", "de", "es"), sizes, strict=True):
        # What was typed stays as it was, and nothing here is told in English to whoever reads another language.
        assert (True, True) == (size in told[language], "so asked by her" in told[language])
        assert '<span lang="en">' not in told[language]
        # What was refused to another is told to nobody else.
        assert "transit" not in told[language]


async def sent(site: Site, path: str, form: dict[str, str]) -> tuple[int, str | None]:
    """A form; status, and where it leads."""
    reply = await site.client.post(path, data=form, allow_redirects=False)
    return reply.status, reply.headers.get("Location")
