"""The slow check: damage is found and named, nothing else is, and a restart goes on where it stopped."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from gateway import scrubbing
from gateway.metrics import GatewayMetrics
from gateway.settings import GatewaySettings
from gateway.storage.disk import scrub as module
from gateway.storage.disk.engine import DiskEngine, open_engine
from gateway.storage.disk.index_scrub import Progress
from gateway.storage.disk.scrub import progress_of
from gateway.storage.model import BucketRules, Deletion, Versioning
from tests.contract.engine_model import BUCKET, OWNER, complete, create_upload, put, put_part

SETTINGS = GatewaySettings(inline_bytes_max=1024, blob_delete_delay_s=0, scrub_interval_s=100)
SMALL, LARGE = b"s" * 500, bytes(range(256)) * 40
ROUND_US = 100_000_000


async def opened(directory: Path) -> DiskEngine:
    engine = await open_engine(directory, SETTINGS)
    await engine.create_bucket(BUCKET, owner=OWNER)
    await engine.scrub.resume()
    return engine


async def put_whole(engine: DiskEngine, key: str, data: bytes) -> Path | None:
    """Put as the gateway does, with the MD5 as ETag; the file, if it became one."""
    before = set(engine._blobs._root.glob("*/*"))
    await put(engine, key, data, etag=hashlib.md5(data).hexdigest())
    new = set(engine._blobs._root.glob("*/*")) - before
    return new.pop() if new else None


async def whole_round(engine: DiskEngine, now_us: int) -> Progress:
    while await engine.scrub.step(now_us):
        continue
    return engine.scrub.progress


def spoil(path: Path, at: int = 100) -> None:
    """One bit is not what it was."""
    with path.open("r+b") as file:
        file.seek(at)
        found = file.read(1)
        file.seek(at)
        file.write(bytes([found[0] ^ 1]))


def damage_lines(caplog: pytest.LogCaptureFixture) -> set[tuple[str, str]]:
    """(key, what) of each line the operator sees."""
    lines = [one.getMessage() for one in caplog.records if one.getMessage().startswith("damaged:")]
    return {(line.split("key='")[1].split("'")[0], line.rsplit(": ", 1)[1]) for line in lines}


async def test_sound_bytes_are_all_read_and_nothing_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = await opened(tmp_path)
    await put_whole(engine, "small", SMALL)
    await put_whole(engine, "large", LARGE)
    progress = await whole_round(engine, ROUND_US)
    assert Progress(0, ROUND_US, ROUND_US, len(SMALL) + len(LARGE), 0, 0) == progress
    assert damage_lines(caplog) == set()
    await engine.close()


async def test_damage_of_an_old_version_is_named_by_its_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = await opened(tmp_path)
    await engine.set_bucket_rules(BUCKET, BucketRules(Versioning.ENABLED))
    old = await put_whole(engine, "kept", LARGE)
    await put_whole(engine, "kept", SMALL)
    assert old is not None
    spoil(old)
    await whole_round(engine, ROUND_US)
    assert {("kept", "other bytes than were written")} == damage_lines(caplog)
    await engine.close()


async def test_each_kind_of_damage_is_named_and_nothing_is_repaired(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = await opened(tmp_path)
    changed, short, missing = [await put_whole(engine, key, LARGE) for key in ("changed", "short", "missing")]
    await put_whole(engine, "inline", SMALL)
    await put_whole(engine, "sound", LARGE)
    upload_id = await create_upload(engine, "parts")
    parts = [
        await put_part(engine, "parts", upload_id, n, LARGE, etag=hashlib.md5(LARGE).hexdigest())
        for n in (1, 2)
    ]
    await complete(engine, "parts", upload_id, parts)
    newest = max(tmp_path.glob("blobs/*/*"), key=lambda path: path.stat().st_mtime_ns)
    assert changed is not None
    assert short is not None
    assert missing is not None
    spoil(changed)
    spoil(newest)
    os.truncate(short, len(LARGE) - 1)
    missing.unlink()
    engine._committer._connection.execute("UPDATE piece SET data = zeroblob(500) WHERE data IS NOT NULL")
    progress = await whole_round(engine, ROUND_US)
    assert progress.damaged == 5
    assert {
        ("changed", "other bytes than were written"),
        ("short", f"{len(LARGE) - 1} of {len(LARGE)} bytes"),
        ("missing", "missing"),
        ("inline", "other bytes than were written"),
        ("parts", "other bytes than were written"),
    } == damage_lines(caplog)
    assert changed.exists()
    assert short.stat().st_size == len(LARGE) - 1
    shown = progress_of(tmp_path / "index.sqlite", busy_timeout_s=1)
    assert progress == shown
    await engine.close()


async def test_damage_is_forgotten_when_the_object_is_put_again(tmp_path: Path) -> None:
    engine = await opened(tmp_path)
    path = await put_whole(engine, "key", LARGE)
    assert path is not None
    spoil(path)
    assert (await whole_round(engine, ROUND_US)).damaged == 1
    await put_whole(engine, "key", LARGE)
    shown = progress_of(tmp_path / "index.sqlite", busy_timeout_s=1)
    assert shown is not None
    assert shown.damaged == 0
    assert (await whole_round(engine, 2 * ROUND_US)).damaged == 0
    await engine.close()


async def test_what_reads_right_again_is_damaged_no_more(tmp_path: Path) -> None:
    engine = await opened(tmp_path)
    path = await put_whole(engine, "key", LARGE)
    assert path is not None
    spoil(path)
    assert (await whole_round(engine, ROUND_US)).damaged == 1
    spoil(path)  # the same bit once more
    assert (await whole_round(engine, 2 * ROUND_US)).damaged == 0
    await engine.close()


async def test_bytes_without_a_digest_get_one_and_are_compared_from_then_on(tmp_path: Path) -> None:
    engine = await opened(tmp_path)
    await put(engine, "old", LARGE, etag="of-an-older-weir")
    (path,) = tmp_path.glob("blobs/*/*")
    assert (await whole_round(engine, ROUND_US)).filled == 1
    assert (await whole_round(engine, 2 * ROUND_US)).filled == 0
    spoil(path)
    progress = await whole_round(engine, 3 * ROUND_US)
    assert (progress.filled, progress.damaged) == (0, 1)
    await engine.close()


async def test_a_restart_goes_on_behind_what_was_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STEP_BYTES", len(LARGE))
    monkeypatch.setattr(module, "SAVE_BYTES", 1)
    engine = await opened(tmp_path)
    for number in range(6):
        await put_whole(engine, f"key{number}", LARGE)
    while engine.scrub.progress.piece < 3:
        assert await engine.scrub.step(ROUND_US)
    await engine.close()
    again = await opened(tmp_path)
    assert again.scrub.progress.piece == 3
    read = 0
    while step := await again.scrub.step(ROUND_US + 1):
        read += step
    assert 3 * len(LARGE) <= read <= 3 * (len(LARGE) + module.PIECE_BYTES_MIN)
    assert again.scrub.progress.checked_bytes == 6 * len(LARGE)
    await again.close()


async def test_a_round_begins_only_when_it_is_due(tmp_path: Path) -> None:
    engine = await opened(tmp_path)
    await put_whole(engine, "key", LARGE)
    assert (await whole_round(engine, ROUND_US)).ended_us == ROUND_US
    assert await engine.scrub.step(2 * ROUND_US - 1) == 0
    assert await engine.scrub.step(2 * ROUND_US) > 0
    await engine.close()


async def test_what_is_deleted_while_it_is_checked_is_no_damage(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STEP_BYTES", 1000)
    engine = await opened(tmp_path)
    for key in ("a", "b"):
        await put_whole(engine, key, LARGE)
    assert await engine.scrub.step(ROUND_US) > 0
    await engine.delete_objects(BUCKET, [Deletion("a"), Deletion("b")], now_us=1)
    assert await engine.collect(10**17) == 2
    assert (await whole_round(engine, ROUND_US)).damaged == 0
    assert damage_lines(caplog) == set()
    await engine.close()


async def test_only_one_process_checks_at_a_time(tmp_path: Path) -> None:
    one, other = await opened(tmp_path), await opened(tmp_path)
    with one.scrub.lock() as is_ours, other.scrub.lock() as is_others:
        assert (is_ours, is_others) == (True, False)
    with other.scrub.lock() as is_others:
        assert is_others
    await one.close()
    await other.close()


class Over(Exception):
    """The first round is over."""


async def test_the_pace_is_kept_and_the_metrics_say_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await opened(tmp_path)
    for key in ("a", "b"):
        await put_whole(engine, key, LARGE * 200)
    path = await put_whole(engine, "c", LARGE)
    assert path is not None
    spoil(path)
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        if seconds == scrubbing.AGAIN_S:
            raise Over
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    metrics = GatewayMetrics()
    with pytest.raises(Over):
        await scrubbing.keep_scrubbing(engine.scrub, metrics, 1_000_000)
    monkeypatch.undo()
    read = metrics.registry.counters["weir_gateway_scrubbed_bytes_total"]
    assert 401 * len(LARGE) <= read <= 401 * len(LARGE) + 3 * module.PIECE_BYTES_MIN
    assert sum(pauses) == pytest.approx(read / 1_000_000)
    assert max(pauses) <= 2 * module.STEP_BYTES / 1_000_000
    assert metrics.registry.gauges["weir_gateway_damaged_pieces"] == 1
    await engine.close()
