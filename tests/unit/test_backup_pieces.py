"""Pieces, lists and pages of backups: what opens, what is refused, and what two runs share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.backup.page import Before, Line, NotAPage, parse_lines, parse_page, render_line
from deploy.backup.repository import Repository, in_pieces
from deploy.backup.sealing import PIECE_BYTES, Cost, DamagedBackup, Keys
from deploy.backup.target import DirectoryTarget

CHEAP = Cost(n=2, r=1, p=1)
KEYS = Keys.of(b"a passphrase", salt=bytes(16), cost=CHEAP)


@given(st.binary(max_size=2000), st.booleans())
def test_a_piece_opens_under_its_name_alone_and_with_no_bit_changed(content: bytes, packs: bool) -> None:
    name = KEYS.name(content)
    sealed = KEYS.seal(name, content, packs=packs)
    assert content == KEYS.open(name, sealed)
    for at in {0, 1, 13, len(sealed) // 2, len(sealed) - 1}:
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(DamagedBackup):
            KEYS.open(name, bytes(changed))
    with pytest.raises(DamagedBackup):
        KEYS.open(KEYS.name(content + b"x"), sealed)
    with pytest.raises(DamagedBackup):
        Keys.of(b"a passphrasf", salt=bytes(16), cost=CHEAP).open(name, sealed)


def test_equal_content_has_one_name_and_never_the_same_bytes() -> None:
    name = KEYS.name(b"the same")
    assert name == KEYS.name(b"the same")
    assert KEYS.seal(name, b"the same", packs=False) != KEYS.seal(name, b"the same", packs=False)
    assert "passphrase" not in repr(KEYS)
    assert KEYS.names.hex() not in repr(KEYS)


@given(st.lists(st.binary(max_size=50)))
def test_pieces_are_the_same_bytes(chunks: list[bytes]) -> None:
    assert b"".join(chunks) == b"".join(in_pieces(chunks))


def test_pieces_are_of_one_size_but_for_the_last() -> None:
    sizes = [len(piece) for piece in in_pieces([bytes(PIECE_BYTES - 1), bytes(PIECE_BYTES + 2), b"x"])]
    assert [PIECE_BYTES, PIECE_BYTES, 2] == sizes


@given(st.sets(st.text(min_size=1, max_size=8), max_size=20), st.integers(1, 50))
def test_lines_come_back_in_chunks_of_any_size_and_are_found_in_order(paths: set[str], size: int) -> None:
    lines = [Line(path, len(path), "ab", ("cd",) * (len(path) % 3)) for path in sorted(paths)]
    text = b"".join(map(render_line, lines))
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    assert lines == list(parse_lines(chunks))
    before = Before(parse_lines(chunks))
    assert lines[::2] == [before.find(line.path) for line in lines[::2]]
    assert Before(iter(lines)).find("\U0010ffff" * 9) is None


def test_a_list_that_is_cut_off_and_a_page_of_a_newer_weir_are_refused() -> None:
    with pytest.raises(NotAPage, match="middle of a line"):
        list(parse_lines([b'["a", 1, "b"]\n["c", ']))
    with pytest.raises(NotAPage, match="newer Weir"):
        parse_page(b'{"format": 2, "weir": "9.0"}')


def test_half_a_piece_that_a_power_cut_left_is_written_anew(tmp_path: Path) -> None:
    repository = Repository(DirectoryTarget(tmp_path), KEYS)
    body = os.urandom(5000)
    repository.writer(None).add("a", [body])
    (piece,) = (path for path in (tmp_path / "pieces").rglob("*") if path.is_file())
    piece.write_bytes(piece.read_bytes()[:2000])
    line = repository.writer(None).add("a", [body])
    assert body == b"".join(repository.read(line))


def test_what_the_backup_before_has_is_taken_over_only_if_it_lies_there(tmp_path: Path) -> None:
    repository = Repository(DirectoryTarget(tmp_path), KEYS)
    line = repository.writer(None).add("a", [b"body"])
    writer = repository.writer(None)
    writer._before = Before(iter([line]))
    assert not writer.unchanged("a", size_bytes=5)
    writer._before = Before(iter([line]))
    assert writer.unchanged("a", size_bytes=4)
    assert (1, 4, 0) == (writer.files, writer.size_bytes, writer.new_bytes)
    for path in (tmp_path / "pieces").rglob("*"):
        if path.is_file():
            path.unlink()
    writer = repository.writer(None)
    writer._before = Before(iter([line]))
    assert not writer.unchanged("a", size_bytes=4)
