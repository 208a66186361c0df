"""One wrong byte in the journal: what commands and a start say of it, and that the way of the runbook leads out."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from meter.frame import HEADER_BYTES, RECORD_BYTES
from meter.reader import header_of
from meter.segments import segment_paths
from tests.integration.test_up import COMMAND_TIMEOUT_S, Weir, client, environment
from tests.integration.test_up import weir as weir
from tests.ordinary import ROOT

pytestmark = pytest.mark.timeout(1200)
RUNBOOK = "docs/runbooks/WeirStreamStandsStill.md"
LATE = 20
"""Requests enough that some worker has a record in the middle."""


def open_segment(journal: Path) -> Path:
    """The open segment of the worker that served most."""
    last = [segment_paths(directory)[-1] for directory in sorted(journal.glob("worker-*"))]
    return max(last, key=lambda path: header_of(path)[1].published)


def flip_a_record(path: Path) -> int:
    """Change one byte of a record in the middle; its number in the segment."""
    number = header_of(path)[1].published // 2
    with path.open("r+b") as file:
        file.seek(HEADER_BYTES + (number - 1) * RECORD_BYTES + 60)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    return number


def refused_start(weir: Weir) -> str:
    line = [sys.executable, "-m", "deploy", "up", "--data", str(weir.data), "--workers", "2"]
    line += ["--gateway-port", "0", "--portal-port", "0", "--admin-port", "0", "--quiet"]
    done = subprocess.run(
        line, capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=COMMAND_TIMEOUT_S
    )
    assert 2 == done.returncode, done
    return done.stderr


def test_one_wrong_byte_is_told_in_a_sentence_and_the_runbooks_way_leads_out(weir: Weir) -> None:
    ready = weir.start()
    s3 = client(ready)
    s3.create_bucket(Bucket="films")
    for number in range(LATE):
        s3.put_object(Bucket="films", Key=f"film-{number}", Body=b"x" * 1000)
    assert 0 == weir.stop()
    before = weir.json("usage", "founder")
    assert LATE * 1000 == before["bytes_in"]
    assert 0 == before["unshipped_events"]

    path = open_segment(weir.data / "journal")
    stream = path.parent
    count = header_of(path)[1].published
    whole = path.read_bytes()
    number = flip_a_record(path)
    told = f"{stream.name}/{path.name}: record {number} of {count}"
    month = f"{datetime.now(UTC):%Y-%m}"
    for line in (("usage", "founder", "--by", "request"), ("verify", "founder", month)):
        sentence = weir.command(*line, status=2)
        assert told in sentence
        assert RUNBOOK in sentence
    sentence = refused_start(weir)
    assert told in sentence
    assert RUNBOOK in sentence

    # As the runbook says: the stream keeps its bytes and its identity under another name, inside the journal.
    kept = stream.with_name(f"damaged-{stream.name}")
    content = {one.name: one.read_bytes() for one in stream.iterdir()}
    stream.rename(kept)
    s3 = client(weir.start())
    s3.put_object(Bucket="films", Key="after", Body=b"x" * 1000)
    assert b"x" * 1000 == s3.get_object(Bucket="films", Key="film-0")["Body"].read()
    assert 0 == weir.stop()
    after = weir.json("usage", "founder")
    assert before["bytes_in"] + 1000 == after["bytes_in"]
    segments = {name: text for name, text in content.items() if name.endswith(".seg")}
    assert segments == {name: (kept / name).read_bytes() for name in segments}
    assert [f"{kept.name}: record {number} of segment 1 fails its checksum"] == weir.json("status")[
        "stream_alarms"
    ]
    audited = weir.json("audit", status=1)
    assert any(kept.name in str(one) and "fails its checksum" in str(one) for one in audited["differences"])

    # The right bytes, from wherever they are, and everything agrees again.
    (kept / path.name).write_bytes(whole)
    assert [] == weir.json("status")["stream_alarms"]
    assert weir.json("audit")["agrees"]
