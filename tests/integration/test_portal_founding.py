"""The founders' checklist in the portal: for everybody, of every rule set, in three languages, without a script."""

from __future__ import annotations

from html import unescape
from pathlib import Path

import pytest

from billing.governance.run import choose
from billing.rules.book import rule_set_ids, rule_set_text
from billing.rules.founding import founding_rules, helpers
from billing.settings import BillingSettings
from tests.coop import Coop
from tests.portal import running_site

PAGE = "/how/start/checklist"
OTHERS = {
    "en": "Hold the founding meeting: adopt the by-laws, elect the offices, sign the minutes.",
    "de": "Haltet die Gründungsversammlung ab: nehmt die Satzung an, wählt die Ämter, unterschreibt das Protokoll.",
    "es": "Celebrad la asamblea constituyente: aprobad los estatutos, elegid los cargos, firmad el acta.",
}


@pytest.mark.parametrize("language", OTHERS)
async def test_it_is_open_to_everybody_in_the_reader_s_language(
    language: str, co_op: Coop, tmp_path: Path
) -> None:
    (anna,) = await co_op.found("anna")
    async with running_site(co_op, tmp_path, BillingSettings()) as site:
        site.client.session.headers["Accept-Language"] = language
        asked = await site.text(PAGE)
        await site.sign_in(anna)
        assert f'lang="{language}"' in asked
        for text in (unescape(asked), unescape(await site.text(PAGE))):
            assert OTHERS[language] in text
            assert [] == [one.link for one in helpers() if f'href="{one.link}"' not in text]
            assert "<script" not in text
            assert "`" not in text


async def test_it_has_each_rule_set_and_begins_with_the_co_op_s_own(co_op: Coop, tmp_path: Path) -> None:
    await co_op.found("anna")
    async with running_site(co_op, tmp_path, BillingSettings()) as site:
        for identity in rule_set_ids():
            text = unescape(await site.text(f"{PAGE}?rules={identity}"))
            for one in founding_rules(identity).of_the_place:
                assert one.what.replace("`", "") in text
                assert one.source in text
        assert "this one names no law" in await site.text(PAGE)
        await choose(
            await co_op.books(), rule_set_text("de-eg"), from_year=2026, first_month=None, resolution=None, choices="",
            who="a test", now_us=site.now_us,
        )  # fmt: skip
        own = await site.text(PAGE)
        assert "Genossenschaftsregister" in own
        assert "At least 3 founders are asked for (Genossenschaftsgesetz § 4)" in unescape(own)
        assert f'href="{PAGE}"' in await site.text("/how/start")
        assert 404 == (await site.get(f"{PAGE}?rules=atlantis")).status
