"""A PostgreSQL that dies while somebody connects: that is "not there yet", at whichever byte it died."""

import asyncio
import contextlib
import struct
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from deploy import enrolment
from deploy.embedded import dsn
from deploy.store import answers
from meter.postgres import DatabaseAway, connect


def message(kind: bytes, body: bytes) -> bytes:
    """As the protocol frames it (PostgreSQL documentation, 'Message Formats')."""
    return kind + struct.pack("!i", len(body) + 4) + body


WELCOME = (
    message(b"R", struct.pack("!i", 0))
    + message(b"S", b"server_version\x0018.4\x00")
    + message(b"S", b"client_encoding\x00UTF8\x00")
    + message(b"K", struct.pack("!ii", 1, 2))
    + message(b"Z", b"I")
)
SHUTDOWN = message(b"E", b"SFATAL\x00VFATAL\x00C57P01\x00Mterminating connection\x00\x00")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short path: a Unix socket's name has little room."""
    with tempfile.TemporaryDirectory(prefix="weir-") as name:
        yield Path(name)


LAST_WORDS = [WELCOME[:count] for count in range(len(WELCOME))] + [SHUTDOWN, WELCOME[:-6] + SHUTDOWN]


@pytest.mark.parametrize("said", LAST_WORDS, ids=range(len(LAST_WORDS)))
async def test_a_server_that_dies_at_any_byte_of_its_welcome_is_away(said: bytes, directory: Path) -> None:
    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(said)
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(die, directory / ".s.PGSQL.5432")
    async with server:
        address = dsn(directory, database="postgres")
        assert not await answers(address)
        with pytest.raises(DatabaseAway):
            await connect(address, timeout_s=10)


async def test_the_drivers_own_confusion_is_a_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen when a postmaster was killed in the midst of a start under load."""

    async def confused(*_: object, **__: object) -> None:
        raise asyncpg.InternalClientError("unexpected")

    monkeypatch.setattr(asyncpg, "connect", confused)
    assert not await answers("postgresql://nowhere")
    with pytest.raises(DatabaseAway):
        await connect("postgresql://nowhere")


@pytest.mark.parametrize(
    "error", [asyncpg.InternalClientError("unexpected"), asyncpg.AdminShutdownError("57P01")]
)
async def test_a_gateway_is_seen_again_after_a_server_that_died_within_an_answer(
    error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Seen at the six hundredth kill of a ground truth: the heartbeat took it for a bug of ours and stopped `weir up`."""
    beats: list[int] = []
    seen = asyncio.Event()

    @contextlib.asynccontextmanager
    async def connected(*_: object, **__: object) -> AsyncIterator[None]:
        beats.append(1)
        if len(beats) > 2:
            seen.set()
        yield

    async def beat(*_: object) -> None:
        raise error

    monkeypatch.setattr(enrolment, "connected", connected)
    monkeypatch.setattr(enrolment.Enrolment, "_beat", beat)
    told: list[str] = []
    one = enrolment.Enrolment(
        "postgresql://nowhere", tmp_path, name="", heartbeat_s=0, timeout_s=1, tell=told.append
    )
    keeping = asyncio.create_task(one.keep_seen(lambda: (None, None)))
    waiting = asyncio.create_task(seen.wait())
    await asyncio.wait({keeping, waiting}, return_when=asyncio.FIRST_COMPLETED, timeout=10)
    assert not keeping.done()
    assert [True] == ["PostgreSQL is away" in line for line in told]
    keeping.cancel()
