"""A member's statement, downloaded and checked elsewhere by one file that knows nothing of Weir; and what forgers meet."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from billing import run
from billing.costs.costing import add_cost
from billing.statements import verifier
from deploy.founding import vault_path
from gateway.vault import Vault
from meter.event import Event, Mark, RequestClass, StorageLine
from meter.ids import MemberId
from meter.settings import MeterSettings
from meter.shipper import ship_everything
from meter.signing import ensure_key, known_public, open_key
from meter.window import HOUR_US
from tests.coop import NOVEMBER, OCTOBER, SEPTEMBER, Coop
from tests.events import PLAIN, stored
from tests.integration.journals import write
from tests.postgres import TestServer

NOON = OCTOBER.start_us + 12 * HOUR_US
TARIFF = """
currency = "EUR"
effective_from = "2026-01"
gb_out = "1.00"
gb_in = "0.50"
gb_month = "2.00"
gb_month_versions = "1.00"
requests_a_1000 = "3.00"
requests_b_1000 = "0.40"
"""
Bundles = dict[str, Path]


def exchange(payer: int, at_us: int, **what: Any) -> Event:
    return PLAIN._replace(
        payer=MemberId(payer),
        requester=MemberId(payer),
        began_us=at_us,
        ended_us=at_us,
        bytes_in=0,
        moved_in=0,
        **what,
    )


def october(anna: int, ben: int) -> list[Event]:
    """What is done in October. anna: 1,500 reads of 4 MB, 3 puts of 1 GB, one download in two pieces."""
    events = [
        exchange(
            anna if number % 2 else ben, NOON + number, request_class=RequestClass.B,
            bytes_out=4_000_000, moved_out=4_000_000, request_id=number.to_bytes(16, "big"),
        )
        for number in range(3000)
    ]  # fmt: skip
    events += [exchange(anna, NOON + HOUR_US)._replace(bytes_in=10**9, moved_in=10**9) for _ in range(3)]
    piece = exchange(anna, NOON + 2 * HOUR_US, request_class=RequestClass.B, bytes_out=10**9, moved_out=10**9)
    events += [piece._replace(marks=Mark.CHECKPOINT), piece._replace(bytes_out=5, moved_out=5)]
    correction = exchange(anna, NOON + 3 * HOUR_US, bytes_out=-1000, moved_out=-1000)
    events.append(correction._replace(marks=Mark.CORRECTION, request_class=RequestClass.FREE, status=0))
    half = OCTOBER.start_us + (OCTOBER.end_us - OCTOBER.start_us) // 2
    lines = ((7 * 10**9, StorageLine.OBJECT), (2 * 10**9, StorageLine.VERSION), (10**9, StorageLine.PART),
             (5 * 10**9, StorageLine.REMOVED))  # fmt: skip
    return events + [stored(delta, half, member=anna, line=line) for delta, line in lines]


async def live(co_op: Coop, settings: MeterSettings) -> None:
    """Two closed months; in September anna stored 10 GB, and a record of September came after its closing."""
    anna, ben, _ = await co_op.found("anna", "ben", "carla")
    books = await co_op.books()
    await run.set_tariff(books, TARIFF, now_us=SEPTEMBER.start_us)
    begun = SEPTEMBER.start_us + HOUR_US
    write(
        settings, exchange(ben, begun, bytes_out=10**9, moved_out=10**9), stored(10**10, begun, member=anna)
    )
    await ship_everything(settings, settings.database_url)
    await run.close(books, SEPTEMBER, now_us=SEPTEMBER.end_us)
    write(settings, *october(anna, ben))
    late = exchange(anna, SEPTEMBER.end_us - HOUR_US, bytes_out=7 * 10**9, moved_out=7 * 10**9)
    write(settings, late._replace(request_class=RequestClass.B), stream="worker-1")
    assert 0 == await ship_everything(settings, settings.database_url)
    await add_cost(books, month=OCTOBER, pool="transit", amount="9.99", memo="uplink", now_us=NOON)
    await run.close(books, OCTOBER, now_us=OCTOBER.end_us)
    write(settings, exchange(anna, NOVEMBER.start_us + 1, bytes_out=10**9, moved_out=10**9))
    await ship_everything(settings, settings.database_url)


def weir(data: Path, database: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy", "download", *words], capture_output=True, text=True,
        env={**os.environ, "WEIR_DATA": str(data), "WEIR_DATABASE_URL": database},
    )  # fmt: skip


@contextmanager
def lived(
    server: TestServer, data: Path, live: Callable[[Coop, MeterSettings], Awaitable[None]]
) -> Iterator[tuple[Path, str]]:
    """A co-op's data directory and its database, after what `live` made of them."""
    (data / "FORMAT").write_text("1\n")
    ensure_key(data)
    Vault.open(vault_path(data), create=True)
    database = server.database()
    settings = MeterSettings(data=data, database_url=database, journal_segment_bytes_max=2**16)

    async def made() -> None:
        co_op = Coop(database)
        await live(co_op, settings)
        await co_op.close()

    asyncio.run(made())
    yield data, database
    server.drop(database)


@pytest.fixture(scope="module")
def place(
    postgres_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, str]]:
    """The co-op's data directory, and its database."""
    with lived(postgres_server, tmp_path_factory.mktemp("coop"), live) as one:
        yield one


@pytest.fixture(scope="module")
def bundles(place: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    """Everybody's October, downloaded."""
    found = {}
    for name in ("anna", "ben", "carla"):
        found[name] = tmp_path_factory.mktemp("bundles") / name
        done = weir(*place, name, "2026-10", "--to", str(found[name]))
        assert (0, "") == (done.returncode, done.stderr.strip())
    return found


def verified(bundle: Path, *words: str) -> tuple[int, list[str]]:
    """Exit status and output of the bundle's own verifier, by a Python that is told nothing."""
    done = subprocess.run(
        [sys.executable, "-I", str(bundle / "verify.py"), *words],
        capture_output=True,
        text=True,
        cwd="/",
        env={},
    )
    assert "" == done.stderr
    return done.returncode, done.stdout.splitlines()


class Kept(verifier.Report):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def wrong(bundle: Path) -> list[str]:
    """What our own copy of the verifier finds wrong."""
    report = Kept()
    status = verifier.look(bundle, report)
    found = [line for line in report.said if line.startswith("DIFFERS")]
    assert status == bool(found)
    return found


def test_everybody_s_statement_follows_from_what_they_downloaded(
    place: tuple[Path, str], bundles: Bundles
) -> None:
    key = known_public(place[0])
    assert key is not None
    for bundle in bundles.values():
        status, said = verified(bundle, "--key", key)
        assert 0 == status, said
        assert "all agree: this statement follows from these records, prices and totals" == said[-1]


def test_files_of_a_desktop_are_passed_over_and_others_are_told_by_name(
    bundles: Bundles, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(bundles["anna"], bundle)
    (bundle / "__MACOSX").mkdir()
    for name in (".DS_Store", "heads/._0001.head", "__MACOSX/._heads", "Thumbs.db", "desktop.ini"):
        (bundle / name).write_bytes(b"\0\5\26\7")
    status, said = verified(bundle)
    assert (0, verifier.ALL_AGREE) == (status, said[-1])
    (bundle / "zz.json").write_text("{}")
    assert ["DIFFERS  files that are there and are not listed: ['zz.json'] is not []"] == wrong(bundle)
    (bundle / "zz.json").unlink()
    (bundle / "README.txt").unlink()
    assert "DIFFERS  files that are listed and are not there: ['README.txt'] is not []" == wrong(bundle)[0]


def test_the_sums_are_those_of_what_was_done(bundles: Bundles) -> None:
    _, said = verified(bundles["anna"])
    # 1,500 × 4 MB, a download of 10^9 + 5, 1,000 taken back, and the 7 GB of September that came late.
    sent = 1500 * 4_000_000 + 10**9 + 5 - 1000 + 7 * 10**9
    assert f"agrees   bytes_out: your records = your statement: {sent:,} = {sent:,}" in said
    assert f"agrees   bytes_in: your records = your statement: {3 * 10**9:,} = {3 * 10**9:,}" in said
    assert "agrees   requests_a: your records = your statement: 3 = 3" in said
    assert "agrees   requests_b: your records = your statement: 1,502 = 1,502" in said
    month_us = OCTOBER.end_us - OCTOBER.start_us
    kept = 10**10 * month_us + (7 + 2 + 1) * 10**9 * month_us // 2
    assert f"agrees   byte_microseconds: your records = your statement: {kept:,} = {kept:,}" in said
    # 13.999999005 GB sent are 14.00 EUR, 3 received 1.50, 13.5 + 0.5 GB-months 27.00 + 1.00, 1 of versions 1.00,
    # 3 puts 0.01, 1,502 reads 0.60.
    assert "agrees   your charge: the sum of the lines = the statement: 4,511 = 4,511" in said
    told = json.loads((bundles["anna"] / "statement.json").read_text())
    assert 1400 + 150 + 2700 + 100 + 100 + 1 + 60 == told["charges_minor"]


def test_a_key_from_elsewhere_must_be_the_one(bundles: Bundles) -> None:
    status, said = verified(bundles["ben"], "--key", "00" * 32)
    assert 1 == status
    assert ["by the key that you vouch for"] == [
        line.split("  ", 1)[1].split(":")[0] for line in said if line.startswith("DIFFERS")
    ]


def test_all_members_are_shown_one_closing_and_one_root(bundles: Bundles) -> None:
    for name in ("closing.json", "totals.json"):
        assert 1 == len({(bundle / name).read_bytes() for bundle in bundles.values()})


def test_nothing_of_another_member_is_in_it(bundles: Bundles) -> None:
    charges = {
        name: json.loads((bundle / "line.json").read_text())["amount_minor"]
        for name, bundle in bundles.items()
    }
    assert {"anna": 4511, "ben": 660, "carla": 0} == charges
    for name, bundle in bundles.items():
        texts = {path: path.read_text("utf-8") for path in bundle.rglob("*") if path.is_file()}
        for other in set(bundles) - {name}:
            assert [] == [path for path, text in texts.items() if f'"{other}"' in text]
            if charges[other]:
                assert [] == [path for path, text in texts.items() if f'_minor":{charges[other]},' in text]
        own = json.loads((bundle / "statement.json").read_text())["member"]["id"]
        records = [json.loads(line)["record"] for line in (bundle / "records.jsonl").read_text().splitlines()]
        assert {own} >= {int.from_bytes(bytes.fromhex(record)[24:32], "little") for record in records}


def flip(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def test_a_signature_is_written_in_one_way(bundles: Bundles, tmp_path: Path) -> None:
    text, signature, _ = (bundles["anna"] / "manifest.json").read_text().split("\n")
    for place, other in enumerate((signature.upper(), f" {signature}", f"{signature[:2]} {signature[2:]}")):
        forged = tmp_path / str(place)
        shutil.copytree(bundles["anna"], forged)
        (forged / "manifest.json").write_text(f"{text}\n{other}\n")
        assert ["DIFFERS  the list of files is signed"] == [one.partition(":")[0] for one in wrong(forged)]


def test_a_changed_byte_anywhere_is_found(bundles: Bundles, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    files = sorted(
        path.relative_to(bundles["carla"]) for path in bundles["carla"].rglob("*") if path.is_file()
    )
    assert len(files) > 10
    for turn in range(4 * len(files)):
        forged = tmp_path / str(turn)
        shutil.copytree(bundles["carla" if turn % 4 else "ben"], forged)
        file = files[turn % len(files)]
        if (forged / file).stat().st_size:
            flip(forged / file, chance)
            assert wrong(forged), f"{file}, seed {seed}, turn {turn}"
        shutil.rmtree(forged)


@pytest.mark.parametrize(
    "file", ["manifest.json", "records.jsonl", "totals.json", "proof.json", "closing.json"]
)
def test_a_file_that_is_gone_cut_or_added_is_found(bundles: Bundles, tmp_path: Path, file: str) -> None:
    for number, spoil in enumerate((
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes() + b"\n"),
        lambda path: path.with_suffix(".more").write_text("more"),
    )):  # fmt: skip
        forged = tmp_path / str(number)
        shutil.copytree(bundles["ben"], forged)
        spoil(forged / file)
        assert wrong(forged), number


def test_every_byte_of_the_signed_list_counts(bundles: Bundles, tmp_path: Path) -> None:
    shutil.copytree(bundles["carla"], tmp_path / "forged")
    path = tmp_path / "forged" / "manifest.json"
    good = path.read_bytes()
    for at in range(0, len(good), 37):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        assert wrong(tmp_path / "forged"), at


def signed_again(bundle: Path, data: Path) -> None:
    """As a co-op would that lies and has the key: hashes and signature fit what is there."""
    text, _, _ = (bundle / "manifest.json").read_text().split("\n")
    manifest = json.loads(text)
    for name in manifest["files"]:
        manifest["files"][name] = hashlib.sha256((bundle / name).read_bytes()).hexdigest()
    text = verifier._canonical(manifest)
    (bundle / "manifest.json").write_text(f"{text}\n{open_key(data).sign(text.encode()).hex()}\n")


def edited(name: str, change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def edit(bundle: Path) -> None:
        document = json.loads((bundle / name).read_text())
        change(document)
        if name == "closing.json":
            body = {key: value for key, value in document.items() if key != "digest"}
            document["digest"] = verifier._digest(verifier._canonical(body))
        (bundle / name).write_text(verifier._canonical(document))

    return edit


def further(bundle: Path) -> None:
    """Totals and closing agree on how far was counted; the signed head does not."""
    edited("totals.json", put("watermarks", "2026-10", to=lambda old: dict.fromkeys(old, 10**6)))(bundle)
    edited("closing.json", put("inputs", "watermark", to=lambda old: dict.fromkeys(old, 10**6)))(bundle)


def lines(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def edit(bundle: Path) -> None:
        path = bundle / "records.jsonl"
        path.write_text("".join(change(path.read_text().splitlines(keepends=True))))

    return edit


def of_another(bundle: Path) -> None:
    """A record of another, in the place that is its own."""
    path = bundle / "records.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    other = json.loads((bundle.parent / "other" / "records.jsonl").read_text().splitlines()[0])
    order = list(dict.fromkeys(row["stream"] for row in rows))
    rows = sorted([*rows, other], key=lambda row: (order.index(row["stream"]), row["sequence"]))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def put(*keys: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = to(document[keys[-1]])

    return change


LIES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a record left out": (lines(lambda rows: rows[1:]), "byte_microseconds: your records"),
    "a record twice": (lines(lambda rows: [rows[0], *rows]), "records, each whole"),
    "a record with another request's id": (
        lines(lambda rows: [rows[0].replace(rows[0][rows[0].index('"record":"') + 26 :][:8], "deadbeef", 1), *rows[1:]]),
        "records, each whole",
    ),
    "a record that was changed": (
        lines(lambda rows: [rows[0].replace('"record":"0', '"record":"1', 1), *rows[1:]]), "records, each whole",
    ),
    "another member's record": (of_another, "records, each whole"),
    "a higher charge": (edited("statement.json", put("charges_minor", to=lambda old: old + 1)), "your charge"),
    "a line rounded up": (
        edited("statement.json", put("lines", 0, "amount_minor", to=lambda old: old + 1)), "gb_out: quantity",
    ),
    "another price in the closing": (
        edited("closing.json", put("inputs", "tariff", "prices_nano", "gb_out", to=lambda old: old * 2)), "gb_out: quantity",
    ),
    "another price in the file": (
        lambda bundle: (bundle / "tariff.toml").write_text(
            (bundle / "tariff.toml").read_text().replace('gb_out = "1.00"', 'gb_out = "1.01"')) and None,
        "prices: the tariff's file",
    ),
    "usage on the statement": (edited("statement.json", put("usage", "bytes_in", to=lambda old: old + 1)), "bytes_in: your records"),
    "another root": (edited("totals.json", put("tree", "root", to=lambda old: "0" * 64)), "leads to the root"),
    "a higher total": (edited("totals.json", put("tree", "sum_minor", to=lambda old: old + 1)), "everybody's charges"),
    "a part of the charge left out": (edited("proof.json", put("leaves", to=lambda old: old[:1])), "all parts of it"),
    "costs that do not add up": (edited("closing.json", put("costs", "transit", to=lambda old: old + 1)), "costs: the sum"),
    "a result that does not follow": (edited("closing.json", put("result_minor", to=lambda old: old + 1)), "charges - costs"),
    "a count that went further": (
        edited("totals.json", put("watermarks", "2026-10", to=lambda old: dict.fromkeys(old, 10 ** 6))), "how far the closing counted",
    ),
    "a count that the signed head does not know": (further, "how far the closing counted, in a signed head"),
    "a closing changed behind its digest": (
        lambda bundle: (bundle / "closing.json").write_text(
            (bundle / "closing.json").read_text().replace("uplink", "uplunk")) and None,
        "digest of the closing",
    ),
    "a closing with another digest": (edited("totals.json", put("closing_digest", to=lambda old: "0" * 64)), "the closing that"),
    "a segment's digest": (
        edited("segments.json", put("segments", to=lambda old: [one | {"digest": "0" * 64} for one in old])), "in a head",
    ),
    "a month moved": (edited("statement.json", put("period", to=lambda old: "2026-11")), "of which month"),
    "a trial": (edited("statement.json", put("kind", to=lambda old: "trial")), "whose statement"),
    "another line of the closing": (edited("line.json", put("name", to=lambda old: "ann")), "digest of your line"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_co_op_that_signs_a_lie_is_found_out(
    bundles: Bundles, place: tuple[Path, str], tmp_path: Path, lie: str
) -> None:
    bundle, (forge, said) = tmp_path / "forged", LIES[lie]
    shutil.copytree(bundles["anna"], bundle)
    shutil.copytree(bundles["ben"], tmp_path / "other")
    forge(bundle)
    signed_again(bundle, place[0])
    found = wrong(bundle)
    assert any(said in line for line in found), found
    assert [] == [line for line in found if "SHA-256" in line or "is signed" in line]


def test_without_a_lie_the_list_may_be_signed_again(
    bundles: Bundles, place: tuple[Path, str], tmp_path: Path
) -> None:
    shutil.copytree(bundles["anna"], tmp_path / "same")
    signed_again(tmp_path / "same", place[0])
    assert [] == wrong(tmp_path / "same")


def test_the_files_are_listed_with_their_digests(place: tuple[Path, str], tmp_path: Path) -> None:
    done = weir(*place, "carla", "2026-10", "--to", str(tmp_path / "carla"), "--json")
    told = json.loads(done.stdout)
    assert {
        str(path.relative_to(tmp_path / "carla")): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (tmp_path / "carla").rglob("*") if path.is_file()
    } == told["files"]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("anna", "2026-11", "--to", "new"), "2026-11 is not closed yet"),
        (("nobody", "2026-10", "--to", "new"), "nobody"),
        (("anna", "2026-10", "--to", "."), ". is there already"),
        (("anna", "October", "--to", "new"), "'October' is not a month"),
    ],
)
def test_what_cannot_be_downloaded_is_refused_and_leaves_nothing(
    place: tuple[Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    done = weir(*place, *words)
    assert 2 == done.returncode
    assert said in done.stderr
    assert [] == list(tmp_path.iterdir())


def test_a_journal_that_is_not_all_here_is_told_at_the_download(
    place: tuple[Path, str], tmp_path: Path
) -> None:
    """anna's late record stands in the stream of another machine, whose journal is away."""
    stream = place[0] / "journal" / "worker-1"
    stream.rename(tmp_path / "away")
    try:
        done = weir(*place, "anna", "2026-10", "--to", str(tmp_path / "anna"))
    finally:
        (tmp_path / "away").rename(stream)
    assert 1 == done.returncode
    assert "DIFFERS  bytes_out: your records = your statement" in done.stderr
    assert "is the journal of every machine here?" in done.stderr
    assert (tmp_path / "anna" / "verify.py").exists()
