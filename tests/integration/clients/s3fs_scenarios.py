"""What s3fs does for test_s3fs.py, in an environment of its own: asserts, and ends well or not at all."""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

MIB = 2**20
LARGE = random.Random(17).randbytes(17 * MIB + 17)
NAMES = ["plain", "with space/a b", "plus+and%2B", "ümlaut/日本語", "hash#query?=x", "quote's & <tags>", "-dash",
         ".hidden/.file"]  # fmt: skip


def blocks(s3: Any, bucket: str, _: Path) -> None:
    """A large file is written in parts, appended to, and read in blocks."""
    path = f"{bucket}/a dir/large ü+"
    with s3.open(path, "wb", block_size=5 * MIB) as file:
        for start in range(0, len(LARGE), MIB):
            file.write(LARGE[start : start + MIB])
    with s3.open(path, "ab", block_size=5 * MIB) as file:
        file.write(b"the end")
    assert len(LARGE) + 7 == s3.size(path)
    digest = hashlib.sha256()
    with s3.open(path, "rb", block_size=5 * MIB, cache_type="readahead") as file:
        while block := file.read(3 * MIB):
            digest.update(block)
        file.seek(9 * MIB)
        assert LARGE[9 * MIB : 9 * MIB + 9] == file.read(9)
    assert hashlib.sha256(LARGE + b"the end").digest() == digest.digest()
    with s3.open(path, "wb") as file:
        file.write(b"overwritten")
    assert b"overwritten" == s3.cat(path)


def names(s3: Any, bucket: str, _: Path) -> None:
    """Odd names are listed, found, walked, copied, moved and removed."""
    s3.pipe({f"{bucket}/odd/{name}": name.encode() for name in NAMES})
    everything = sorted(f"{bucket}/odd/{name}" for name in NAMES)
    assert everything == sorted(s3.find(f"{bucket}/odd"))
    assert everything == sorted(
        f"{root}/{file}" for root, _, files in s3.walk(f"{bucket}/odd") for file in files
    )
    level = {name.partition("/")[0] for name in NAMES}
    assert level == {path.removeprefix(f"{bucket}/odd/") for path in s3.ls(f"{bucket}/odd", detail=False)}
    assert {path: path.removeprefix(f"{bucket}/odd/").encode() for path in everything} == s3.cat(everything)
    s3.cp(f"{bucket}/odd/plain", f"{bucket}/copy ü+")
    s3.mv(f"{bucket}/copy ü+", f"{bucket}/moved")
    assert (b"plain", False) == (s3.cat(f"{bucket}/moved"), s3.exists(f"{bucket}/copy ü+"))
    s3.setxattr(f"{bucket}/moved", colour="blue")
    assert "blue" == s3.getxattr(f"{bucket}/moved", "colour")
    s3.rm(f"{bucket}/odd", recursive=True)
    assert [f"{bucket}/moved"] == s3.find(bucket)


def trees(s3: Any, bucket: str, directory: Path) -> None:
    """A tree goes there and back."""
    for name in NAMES:
        path = directory / "there" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 1000)
    s3.put(f"{directory}/there", f"{bucket}/tree", recursive=True)
    s3.get(f"{bucket}/tree", f"{directory}/back", recursive=True)
    for name in NAMES:
        assert name.encode() * 1000 == (directory / "back" / name).read_bytes()
    s3.put_file(directory / "there" / "plain", f"{bucket}/file")
    print(s3.sign(f"{bucket}/file", expiration=600))


def gone(s3: Any, bucket: str, _: Path) -> None:
    """What is not there is FileNotFoundError."""
    try:
        s3.cat(f"{bucket}/gone")
    except FileNotFoundError as error:
        print(error)
    assert not s3.exists(f"{bucket}/gone")


def refused(s3: Any, bucket: str, _: Path) -> None:
    """A refusal is PermissionError."""
    try:
        s3.find(bucket)
    except PermissionError as error:
        print(error.__cause__ or error)


SCENARIOS: dict[str, Callable[[Any, str, Path], None]] = {
    one.__name__: one for one in (blocks, names, trees, gone, refused)
}

if __name__ == "__main__":
    page, scenario, bucket_name, place = sys.argv[1:]
    made: dict[str, Any] = {}
    exec(Path(page).read_text("utf-8"), made)  # noqa: S102 - the page's settings
    SCENARIOS[scenario](made["s3"], bucket_name, Path(place))
