"""A backup is one moment of books, journal, index and files, whatever happens between its steps; and comes back whole."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from deploy.backup import moment_store, restoring, taking
from deploy.backup.place import target_of
from deploy.backup.repository import Repository
from deploy.backup.sealing import DamagedBackup, WrongPassphrase
from deploy.backup.sources import Sources
from deploy.backup.taking import take
from gateway.settings import GatewaySettings
from gateway.storage.disk.engine import open_engine
from meter import usage_store
from meter.correcting import enter
from meter.correction import Correction
from meter.ids import BucketId
from meter.postgres import connect
from meter.recorder import now_us
from meter.refusal import Refusal
from tests.gateway import Credentials, RunningGateway, client, running_gateway
from tests.integration.backup_kit import (
    BUCKET,
    PASSPHRASE,
    Traffic,
    audited,
    back_up,
    begun,
    bring_back,
    copy_of,
    desk_of,
    flip,
    listed,
    quiet,
    repository_of,
)
from tests.postgres import TestServer

SMALL = {
    "WEIR_JOURNAL_SEGMENT_BYTES_MAX": str(2**16),
    "WEIR_BLOB_DELETE_DELAY_S": "0",
    "WEIR_CONNECTIONS_MAX": "64",
}
YEAR_US = 365 * 24 * 3600 * 1_000_000
APART_TIMEOUT_S = 120


class Made(NamedTuple):
    """A co-op at rest, and its backups."""

    data: Path
    backups: Path
    anna: Credentials
    put: dict[str, bytes]
    database: str


def apart(work: Callable[[], Any]) -> Any:
    """Do it in a thread of its own, which has no event loop yet."""
    told: list[Any] = []
    thread = threading.Thread(target=lambda: told.append(work()), daemon=True)
    thread.start()
    thread.join(APART_TIMEOUT_S)
    assert told, "what was to happen in between failed or hangs"
    return told[0]


class Busy:
    """All that may happen between two steps of a backup, in every step anew."""

    def __init__(self, gateway: RunningGateway, anna: Credentials, traffic: Traffic) -> None:
        self._gateway, self._anna, self._traffic = gateway, anna, traffic
        self.turns = 0
        self.steps: list[str] = []

    def once(self, step: str) -> None:
        """Put, delete, correct, feed, ship and collect."""
        self.steps.append(step)
        self.turns += 1
        apart(self._work)

    def _work(self) -> bool:
        self._traffic.some(f"turn-{self.turns}")
        for key in [key for key in self._traffic.put if key not in self._traffic.gone][:2]:
            self._traffic.delete(key)
        asyncio.run(self._correct())
        self._gateway.usage(self._anna.member)
        asyncio.run(self._collect())
        return True

    async def _correct(self) -> None:
        connection = await connect(self._gateway.database)
        one = Correction(
            member=self._anna.member,
            bucket=BucketId(1),
            at_us=now_us(),
            who="olga",
            why="it was so",
            bytes_in=7,
        )
        await enter(connection, self._gateway.settings, one, now_us=now_us())
        await connection.close()

    async def _collect(self) -> None:
        data = self._gateway.data
        engine = await open_engine(data / "engine", GatewaySettings(data=data, blob_delete_delay_s=0))
        await engine.collect(now_us() + YEAR_US)
        await engine.close()


def meanwhile(monkeypatch: pytest.MonkeyPatch, busy: Busy) -> None:
    """From now on everything happens after every step of a backup."""
    for owner, name in (
        (moment_store, "export_state"), (moment_store, "mark"), (moment_store, "places"), (moment_store, "corrections"),
        (taking, "_ends"), (taking, "_cut_ends"), (taking, "_behind"), (taking, "_add_database"),
        (Sources, "copy_index"), (Sources, "_add_documents"), (Sources, "_add_files"), (Sources, "_add_journal"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, _then(getattr(owner, name), name, busy))
    index_moment = vars(taking)["index_moment"]

    @contextmanager
    def moment(*given: Any, **named: Any) -> Iterator[Any]:
        with index_moment(*given, **named) as found:
            busy.once("index_moment")
            yield found

    monkeypatch.setattr(taking, "index_moment", moment)


def _then(work: Callable[..., Any], name: str, busy: Busy) -> Callable[..., Any]:
    if asyncio.iscoroutinefunction(work):

        async def waited(*given: Any, **named: Any) -> Any:
            found = await work(*given, **named)
            busy.once(name)
            return found

        return waited

    def plain(*given: Any, **named: Any) -> Any:
        found = work(*given, **named)
        busy.once(name)
        return found

    return plain


async def entered(database: str) -> int:
    """Corrections that have a reason."""
    connection = await connect(database)
    count: int = await connection.fetchval("SELECT count(*) FROM meter.correction")
    await connection.close()
    return count


async def used(database: str, anna: Credentials) -> tuple[int, int]:
    """Bytes in by requests, and by corrections."""
    connection = await connect(database, role="weir_billing")
    found = await usage_store.usage_between(connection, anna.member, start_us=0, end_us=now_us())
    await connection.close()
    return found.bytes_in - found.corrected_in, found.corrected_in


def test_whatever_happens_between_its_steps_a_backup_is_one_moment(
    tmp_path: Path, postgres_server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, place = tmp_path / "data", tmp_path / "backups"
    data.mkdir()
    database = postgres_server.database()
    with running_gateway(data, database, environment=SMALL) as gateway:
        anna, traffic = begun(gateway)
        before = dict(traffic.put)
        busy = Busy(gateway, anna, traffic)
        with monkeypatch.context() as patched:
            meanwhile(patched, busy)
            page = back_up(gateway, place)
        assert () == page.damaged
        assert {
            "export_state",
            "mark",
            "places",
            "_ends",
            "index_moment",
            "_add_files",
            "_add_journal",
        } <= set(busy.steps)
        gone = set(traffic.gone)
    restored, fresh = bring_back(place, tmp_path / "again", postgres_server, monkeypatch.setenv)
    assert restored.audit is not None
    assert [] == [one.sentence for one in restored.audit.findings.named]
    with running_gateway(tmp_path / "again", fresh, environment=SMALL) as gateway:
        s3 = client(gateway, anna)
        found = listed(s3)
        # Nothing that was answered before is lost, unless it was deleted in between; and every object is whole.
        assert set() == set(before) - set(found) - gone
        assert found == {key: traffic.put[key] for key in found}
        # What is billed is there: to the byte the objects of which some may have been deleted up to the moment.
        reads = sum(len(body) for body in found.values())
        gateway.usage(anna.member)
        put_bytes, corrected = asyncio.run(used(fresh, anna))
        there = {key for key in traffic.put if key in found or key in gone}
        turns = 1 + max((int(key.split("-")[1]) for key in found if key.startswith("turn-")), default=0)
        up_to = [key for key in there if key.startswith("first-") or int(key.split("-")[1]) < turns]
        assert sum(len(traffic.put[key]) for key in up_to) >= put_bytes >= sum(map(len, before.values()))
        assert reads > 0
        assert corrected == 7 * asyncio.run(entered(fresh))
    assert [] == audited(tmp_path / "again", fresh)


def test_a_member_or_bucket_that_comes_meanwhile_makes_the_moment_be_taken_again(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with running_gateway(data, database, environment=SMALL) as gateway:
        _, traffic = begun(gateway)
        index_moment, tries = vars(taking)["index_moment"], []

        @contextmanager
        def moment(*given: Any, **named: Any) -> Iterator[Any]:
            tries.append(1)
            if len(tries) < 3:
                apart(lambda: traffic.s3.create_bucket(Bucket=f"late-{len(tries)}"))
            with index_moment(*given, **named) as found:
                yield found

        monkeypatch.setattr(taking, "index_moment", moment)
        back_up(gateway, tmp_path / "backups")
    assert 3 == len(tries)


@pytest.fixture(scope="module")
def made(postgres_server: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A co-op at rest, backed up twice: its data, the backups, its member, her objects."""
    place = tmp_path_factory.mktemp("backup")
    data, backups = place / "data", place / "backups"
    data.mkdir()
    (data / "documents" / "ab").mkdir(parents=True)
    (data / "documents" / "ab" / "abcd").write_bytes(b"an invoice")
    database = postgres_server.database()
    with running_gateway(data, database, environment=SMALL) as gateway:
        anna, traffic = begun(gateway)
        gateway.usage(anna.member)
        first = back_up(gateway, backups)
        traffic.some("second")
        gateway.usage(anna.member)
        second = back_up(gateway, backups)
        assert first.files < second.files
        # The one large object, and what changes with it: database, index, open segments, the list itself. Not the five.
        old_bytes = 5 * 90_000
        assert second.new_bytes < second.size_bytes - old_bytes + 90_000
    return Made(data, backups, anna, traffic.put, database)


def test_sums_objects_papers_and_keys_come_back_as_they_were(
    made: Made, tmp_path: Path, postgres_server: TestServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    data, backups, anna, put = made.data, made.backups, made.anna, made.put
    restored, fresh = bring_back(backups, tmp_path / "again", postgres_server, monkeypatch.setenv)
    assert restored.audit is not None
    assert (0, ()) == (restored.audit.findings.total, restored.notes)
    for name in ("secret.key", "signing.key", "signing.pub", "documents/ab/abcd"):
        assert (data / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert 0o600 == (tmp_path / "again" / "secret.key").stat().st_mode & 0o777
    assert (sum(map(len, put.values())), 0) == asyncio.run(used(fresh, anna))
    with running_gateway(tmp_path / "again", fresh, environment=SMALL) as gateway:
        assert put == listed(client(gateway, anna))
        traffic = Traffic(client(gateway, anna))
        traffic.some("after")
        total = sum(map(len, put.values())) + 90_000 + 700
        assert total == gateway.usage(anna.member).bytes_in
    assert [] == audited(tmp_path / "again", fresh)


def test_an_older_backup_is_restored_by_its_name_and_prune_keeps_what_the_others_need(
    made: Made, tmp_path: Path, postgres_server: TestServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    backups, anna, put = made.backups, made.anna, made.put
    place = copy_of(backups, tmp_path / "backups")
    first, second = repository_of(place).names()
    _, fresh = bring_back(place, tmp_path / "first", postgres_server, monkeypatch.setenv, name=first)
    with running_gateway(tmp_path / "first", fresh, environment=SMALL) as gateway:
        assert {key for key in put if not key.startswith("second")} == set(listed(client(gateway, anna)))
    pieces = len(list((place / "pieces").rglob("*")))
    gone, removed = repository_of(place).prune(keep=1)
    assert [first] == gone
    assert removed > 0
    assert pieces - removed == len(list((place / "pieces").rglob("*")))
    repository = repository_of(place)
    assert [second] == repository.names()
    assert repository.check(repository.page(second), lambda _: None) > 0
    assert ([], 0) == repository.prune(keep=1)


def test_without_files_the_inventory_is_kept_and_a_copy_of_them_completes_it(
    made: Made, tmp_path: Path, postgres_server: TestServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    data, anna, put = made.data, made.anna, made.put
    place, database = tmp_path / "backups", postgres_server.copy(made.database)
    gateway = RunningGateway(data, database, 0)
    page = back_up(gateway, place, with_files=False)
    # Of the six files their names alone; the list of them is new.
    assert page.new_bytes < page.size_bytes - 5 * 90_000
    restored, _ = bring_back(place, tmp_path / "bare", postgres_server, monkeypatch.setenv)
    assert restored.audit is not None
    assert 6 == restored.audit.findings.total
    restored, fresh = bring_back(
        place, tmp_path / "whole", postgres_server, monkeypatch.setenv, files_from=data / "engine" / "blobs"
    )
    assert restored.audit is not None
    assert 0 == restored.audit.findings.total
    with running_gateway(tmp_path / "whole", fresh, environment=SMALL) as again:
        assert put == listed(client(again, anna))


def test_nothing_in_a_backup_can_be_read_without_the_passphrase(
    made: Made,
) -> None:
    data, backups, anna, put = made.data, made.backups, made.anna, made.put
    everything = b"".join(path.read_bytes() for path in backups.rglob("*") if path.is_file())
    for secret in (
        (data / "secret.key").read_bytes(), anna.access_key.encode(), b"first-0-small", b"an invoice", b"CREATE TABLE",
        BUCKET.encode() + b"-", put["first-0-large"][:32], PASSPHRASE,
    ):  # fmt: skip
        assert secret not in everything
    with pytest.raises(WrongPassphrase, match="does not open the backups"):
        repository_of(backups, b"another passphrase")


@pytest.mark.parametrize("how", ["flip", "remove", "swap", "page", "description", "newer"])
def test_a_damaged_backup_is_refused_before_anything_is_written(
    made: Made, tmp_path: Path, postgres_server: TestServer,
    monkeypatch: pytest.MonkeyPatch, how: str,
) -> None:  # fmt: skip
    place = copy_of(made.backups, tmp_path / "backups")
    newest = repository_of(place).names()[-1]
    pieces = sorted(path for path in (place / "pieces").rglob("*") if path.is_file())
    names = _pieces_of(place, newest)
    needed = [one for one in pieces if one.name in names]
    match how:
        case "flip":
            flip(needed[0], at=len(needed[0].read_bytes()) // 2)
        case "remove":
            needed[-1].unlink()
        case "swap":
            one, other = needed[0].read_bytes(), needed[1].read_bytes()
            needed[0].write_bytes(other)
            needed[1].write_bytes(one)
        case "page":
            flip(place / "backups" / newest)
        case "description":
            flip(place / "weir-backup.json", at=20)
        case _:
            text = (place / "weir-backup.json").read_text().replace('"format": 1', '"format": 2')
            (place / "weir-backup.json").write_text(text)
    with pytest.raises(Refusal, match="newer Weir" if how == "newer" else None) as refused:
        bring_back(place, tmp_path / "again", postgres_server, monkeypatch.setenv)
    assert how == "newer" or isinstance(refused.value, DamagedBackup | WrongPassphrase)
    assert [] == list(tmp_path.glob("again*"))


def test_a_place_that_is_not_empty_is_refused_and_left_as_it_is(
    made: Made, tmp_path: Path, postgres_server: TestServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").write_text("mine")
    with pytest.raises(restoring.NotEmpty, match="is not empty"):
        bring_back(made.backups, full, postgres_server, monkeypatch.setenv)
    assert ["mine"] == os.listdir(full)
    monkeypatch.setenv("WEIR_DATABASE_URL", postgres_server.database())
    repository = repository_of(made.backups)
    page = repository.page(repository.names()[-1])
    with pytest.raises(restoring.NotEmpty, match="holds a co-op already"):
        asyncio.run(
            restoring.restore(repository, page, restoring.Asked(tmp_path / "new"), told=lambda _, __: None)
        )


def test_two_backups_into_one_place_take_turns(made: Made) -> None:
    repository = repository_of(made.backups)
    with repository.target.alone(), pytest.raises(Refusal, match="another backup or prune"):
        with repository_of(made.backups).target.alone():
            pass


def test_a_file_that_is_missing_where_the_backup_is_taken_is_told_and_the_rest_is_taken(
    made: Made, tmp_path: Path, postgres_server: TestServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    data = copy_of(made.data, tmp_path / "data")
    database = postgres_server.copy(made.database)
    lost = next(path for path in (data / "engine" / "blobs").rglob("*") if path.is_file())
    lost.unlink()
    page = back_up(RunningGateway(data, database, 0), tmp_path / "backups")
    assert [f"engine/blobs/{lost.parent.name}/{lost.name} is missing, 90000 bytes"] == list(page.damaged)
    restored, _ = bring_back(tmp_path / "backups", tmp_path / "again", postgres_server, monkeypatch.setenv)
    assert restored.audit is not None
    assert ["file-missing"] == [one.kind.value for one in restored.audit.findings.named]


def _pieces_of(place: Path, name: str) -> set[str]:
    repository = repository_of(place)
    page = repository.page(name)
    return {piece for line in repository.lines(page) for piece in line.pieces}


def test_a_bucket_of_another_system_keeps_backups_as_well(
    made: Made, tmp_path: Path, postgres_server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = tmp_path / "far"
    far.mkdir()
    with running_gateway(far, postgres_server.database()) as other:
        bert = other.member("bert")
        client(other, bert).create_bucket(Bucket="vault")
        monkeypatch.setenv("AWS_ENDPOINT_URL", other.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", bert.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", bert.secret_key)
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        target = target_of("s3://vault/co-op")
        repository = Repository.open(target, PASSPHRASE, create=True)
        desk = desk_of(made.data, postgres_server.copy(made.database))
        page = asyncio.run(take(desk, repository, with_files=True, told=quiet))
        again = asyncio.run(take(desk, Repository.open(target, PASSPHRASE), with_files=True, told=quiet))
        assert page.files == again.files
        assert again.new_bytes < page.new_bytes - 6 * 90_000
        with target.alone(), pytest.raises(Refusal, match="another backup or prune"):
            with target_of("s3://vault/co-op").alone():
                pass
        monkeypatch.setenv("WEIR_DATABASE_URL", postgres_server.empty_database())
        asked = restoring.Asked(tmp_path / "again")
        restored = asyncio.run(restoring.restore(repository, again, asked, told=quiet))
        assert restored.audit is not None
        assert 0 == restored.audit.findings.total
        assert [page.name] == repository.prune(keep=1)[0]
        assert repository.check(repository.page(again.name), lambda _: None) == again.files
        with pytest.raises(Refusal, match="NoSuchBucket"):
            Repository.open(target_of("s3://nowhere"), PASSPHRASE, create=True)
        vars(target)["_s3"].close()
