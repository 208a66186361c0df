"""Corrections: entries of their own with who and why, counted once, billed in an open month, shown, and provable."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from billing import run
from billing.month.proof import verify
from meter import correcting, correction_store, store, usage_store
from meter.correcting import complete, enter
from meter.correction import CORRECTION_BYTES_MAX, Correction
from meter.event import Event, RequestClass, StorageLine, Zone
from meter.ids import BucketId, MemberId
from meter.journal import Journal
from meter.recount import recount
from meter.refusal import Refusal
from meter.settings import MeterSettings
from meter.shipper import ship_everything
from meter.usage import Kept
from meter.window import HOUR_US
from tests.coop import OCTOBER, Coop
from tests.events import PLAIN, stored
from tests.integration.test_up import Weir
from tests.integration.test_up import weir as weir

NOON = OCTOBER.start_us + 12 * HOUR_US
NOW = OCTOBER.end_us + HOUR_US


@pytest.fixture
def settings(tmp_path: Path, database: str) -> MeterSettings:
    return MeterSettings(data=tmp_path, database_url=database, journal_segment_bytes_max=2**16)


def write(settings: MeterSettings, *events: Event) -> None:
    journal = Journal(
        settings.journal_directory / "worker-0", segment_bytes_max=2**16, segment_age_max_s=3600, now_us=NOON
    )
    for event in events:
        journal.append(event)
    journal.close()


def asked(member: MemberId, **given: object) -> Correction:
    one = Correction(member=member, bucket=BucketId(7), at_us=NOON, who="olga", why="the relay counted twice")
    return replace(one, **given)  # type: ignore[arg-type]


async def october(co_op: Coop, settings: MeterSettings) -> MemberId:
    """A member who read 5,000 bytes and stores 600 from noon of the first on."""
    (anna,) = await co_op.found("anna")
    read = PLAIN._replace(payer=anna, request_class=RequestClass.B, began_us=NOON, ended_us=NOON)
    write(settings, read._replace(bytes_in=0, bytes_out=5000), stored(600, NOON, member=anna))
    await ship_everything(settings, settings.database_url)
    return anna


async def test_a_correction_is_a_row_of_its_own_that_names_the_exchange_and_changes_none(
    co_op: Coop, settings: MeterSettings
) -> None:
    anna = await october(co_op, settings)
    meter, owner = await co_op.connection("weir_meter"), await co_op.owner()
    readings = await owner.fetch("SELECT * FROM meter.reading")
    await enter(meter, settings, asked(anna, bytes_out=-1200, request_id=b"\x07" * 16), now_us=NOW)
    assert 0 == await ship_everything(settings, settings.database_url)
    assert readings == await owner.fetch("SELECT * FROM meter.reading WHERE NOT correction")
    (row,) = await owner.fetch("SELECT * FROM meter.reading WHERE correction")
    assert (-1200, -1200, 0, 0, 0) == tuple(
        row[name] for name in ("bytes_out", "moved_out", "requests", "failures", "aborts")
    )
    used = (await usage_store.period_usage(meter, OCTOBER))[anna]
    assert (3800, -1200, 1) == (used.bytes_out, used.corrected_out, used.requests_b)
    (entered,) = await correction_store.counted(meter, anna, start_us=0, end_us=NOW)
    assert (b"\x07" * 16, "olga", "the relay counted twice", -1200) == (
        entered.correction.request_id, entered.correction.who, entered.correction.why,
        entered.correction.bytes_out,
    )  # fmt: skip


async def test_stored_bytes_are_corrected_from_a_time_on(co_op: Coop, settings: MeterSettings) -> None:
    anna = await october(co_op, settings)
    meter = await co_op.connection("weir_meter")
    part = asked(anna, line=StorageLine.PART, stored_bytes=-100, at_us=NOON + HOUR_US)
    await enter(meter, settings, part, now_us=NOW)
    await ship_everything(settings, settings.database_url)
    kept = await usage_store.stored_between(meter, anna, start_us=NOON, end_us=NOON + 3 * HOUR_US)
    assert {
        7: {
            StorageLine.OBJECT: Kept(600, 600 * 3 * HOUR_US),
            StorageLine.PART: Kept(-100, -100 * 2 * HOUR_US),
        }
    } == kept


async def test_the_statement_with_a_correction_follows_from_the_segments(
    co_op: Coop, settings: MeterSettings
) -> None:
    anna = await october(co_op, settings)
    meter, books = await co_op.connection("weir_meter"), await co_op.books()
    await enter(meter, settings, asked(anna, bytes_out=-1200), now_us=NOW)
    await enter(meter, settings, asked(anna, line=StorageLine.OBJECT, stored_bytes=50), now_us=NOW)
    await ship_everything(settings, settings.database_url)
    await run.close(books, OCTOBER, now_us=NOW)
    told = await run.statement(books, anna, OCTOBER, now_us=NOW)
    assert (3800, -1200) == (told["usage"]["bytes_out"], told["usage"]["corrected_bytes_out"])
    assert [("Of this sent: corrections", "-0.0000012 GB")] == [
        (line["words"], line["quantity_text"]) for line in told["apart"]
    ]
    marks = await store.watermarks(books)
    again = recount(settings.journal_directory, OCTOBER, marks, up_to=marks[OCTOBER])
    verified = await verify(books, anna, OCTOBER, again, now_us=NOW)
    assert verified.agrees, verified.differences


async def test_a_correction_of_a_closed_month_is_billed_in_the_first_open_one(
    co_op: Coop, settings: MeterSettings
) -> None:
    anna = await october(co_op, settings)
    meter, books = await co_op.connection("weir_meter"), await co_op.books()
    await run.close(books, OCTOBER, now_us=NOW)
    told = await usage_store.period_usage(books, OCTOBER)
    await enter(meter, settings, asked(anna, bytes_out=-1200), now_us=NOW)
    await ship_everything(settings, settings.database_url)
    assert told == await usage_store.period_usage(books, OCTOBER)
    november = (await usage_store.period_usage(books, OCTOBER.next()))[anna]
    assert (-1200, -1200) == (november.bytes_out, november.corrected_out)
    between = await usage_store.usage_between(books, anna, start_us=OCTOBER.start_us, end_us=OCTOBER.end_us)
    assert 3800 == between.bytes_out


async def test_a_crash_between_the_reason_and_the_record_enters_it_once(
    co_op: Coop, settings: MeterSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = await october(co_op, settings)
    meter = await co_op.connection("weir_meter")

    def die(_: Correction) -> Event:
        raise KeyboardInterrupt

    async def crash_within(bytes_out: int) -> None:
        with monkeypatch.context() as crash:
            crash.setattr(correcting, "event_of", die)
            with pytest.raises(KeyboardInterrupt):
                await enter(meter, settings, asked(anna, bytes_out=bytes_out), now_us=NOW)

    await crash_within(-1)
    await ship_everything(settings, settings.database_url)
    assert [] == await correction_store.counted(meter, anna, start_us=0, end_us=NOW)
    for expected in (1, 0):
        assert expected == await complete(meter, settings, now_us=NOW)
        await ship_everything(settings, settings.database_url)
        assert 4999 == (await usage_store.period_usage(meter, OCTOBER))[anna].bytes_out
    await crash_within(-2)
    await enter(meter, settings, asked(anna, bytes_out=-10), now_us=NOW)
    await ship_everything(settings, settings.database_url)
    assert 4987 == (await usage_store.period_usage(meter, OCTOBER))[anna].bytes_out


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"bytes_out": 0}, "corrects nothing"),
        ({"bytes_out": -CORRECTION_BYTES_MAX - 1}, "at most 1,000,000,000,000,000 bytes"),
        ({"bytes_out": 1, "why": " "}, "say why"),
        ({"bytes_out": 1, "who": ""}, "say who"),
        ({"bytes_out": 1, "at_us": NOW + 1}, "still to come"),
    ],
)
async def test_what_corrects_nothing_or_too_much_or_says_no_reason_is_refused(
    co_op: Coop, settings: MeterSettings, given: dict[str, object], words: str
) -> None:
    meter = await co_op.connection("weir_meter")
    with pytest.raises(Refusal, match=words):
        await enter(meter, settings, asked(MemberId(1), **given), now_us=NOW)
    assert not (settings.journal_directory / "corrections").exists()


@pytest.mark.parametrize("role", ["weir_meter", "weir_billing", "weir_gateway", "weir_office", None])
@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE meter.correction SET why = 'x'",
        "DELETE FROM meter.correction",
        "TRUNCATE meter.correction",
        "UPDATE meter.displaced SET counted_us = 0",
    ],
)
async def test_who_and_why_are_only_added(
    co_op: Coop, settings: MeterSettings, role: str | None, attack: str
) -> None:
    anna = await october(co_op, settings)
    await enter(await co_op.connection("weir_meter"), settings, asked(anna, bytes_out=-1), now_us=NOW)
    connection = await co_op.connection(role)
    with pytest.raises(asyncpg.PostgresError, match=r"permission denied|only added to"):
        await connection.execute(attack)


def test_an_operator_corrects_and_the_member_sees_it(weir: Weir) -> None:
    """By command, on a co-op that does not run: entered, shown as lines of their own, and verified."""
    ready = weir.start()
    name = ready["member"]
    weir.stop()
    told = weir.json(
        "correct", "traffic", name, "--received", "-5", "--sent", "1000", "--zone", "own", "--why", "a test", "--who",
        "olga", "--of", "ab" * 16, "--yes",
    )  # fmt: skip
    assert (1, -5, 1000, "own", "olga", "ab" * 16, 0) == tuple(
        told[key]
        for key in ("sequence", "bytes_in", "bytes_out", "zone", "who", "request_id", "unshipped_events")
    )
    assert "no bucket named 'nowhere'" in weir.command(
        "correct", "storage", name, "nowhere", "--bytes", "-1", "--why", "x", "--yes", status=2
    )
    used = weir.json("usage", name, "--by", "zone")
    assert (-5, 1000, -5, 1000) == tuple(
        used[key] for key in ("bytes_in", "bytes_out", "corrected_bytes_in", "corrected_bytes_out")
    )
    assert [("own", 1000)] == [(row["zone"], row["bytes_out"]) for row in used["rows"]]
    assert ["a test"] == [one["why"] for one in used["corrections"]]
    assert used["corrections"] == weir.json("correct", "list", name)["corrections"]
    assert "a test" in weir.command("usage", name)
    assert weir.json("verify", name, told["period"])["agrees"]
    assert Zone.OWN.name.lower() == used["corrections"][0]["zone"]
