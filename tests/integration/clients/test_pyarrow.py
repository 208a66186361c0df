"""pyarrow's own S3 file system: data sets in partitions, and streams in parts."""

from __future__ import annotations

from typing import Any

import pyarrow
import pytest
from pyarrow import dataset, fs, parquet

from gateway.storage.abilities import Ability, can
from tests.gateway import Credentials, RunningGateway
from tests.integration.clients.kit import LARGE, MIB, made_by_page, odd_keys, sha256, with_wrong_secret

pytestmark = pytest.mark.every_engine

CLIENT = "pyarrow"


@pytest.fixture
def page(s3_gateway: RunningGateway, anna: Credentials) -> Any:
    """The file system that the page makes."""
    return made_by_page(CLIENT, s3_gateway.url, anna)["s3"]


@pytest.mark.journey
@pytest.mark.needs("any_key")  # its directories are keys with a slash at the end
def test_a_data_set_in_partitions_is_written_and_read(page: Any, bucket: str) -> None:
    rows = [
        {"town": f"Köln {number % 3}", "number": number, "word": "w" * (number % 50)}
        for number in range(3000)
    ]
    table = pyarrow.Table.from_pylist(rows)
    where = f"{bucket}/a set"
    dataset.write_dataset(table, where, format="parquet", partitioning=["town"],
                          partitioning_flavor="hive", filesystem=page)  # fmt: skip
    found = dataset.dataset(where, filesystem=page, partitioning="hive")
    assert sorted(rows, key=lambda row: row["number"]) == sorted(
        found.to_table().select(["town", "number", "word"]).to_pylist(), key=lambda row: row["number"]
    )
    some = found.to_table(filter=(dataset.field("town") == "Köln 1") & (dataset.field("number") < 9))
    assert [1, 4, 7] == sorted(some["number"].to_pylist())


@pytest.mark.journey
def test_a_large_table_is_one_object_sent_in_parts(page: Any, s3: Any, bucket: str, engine: str) -> None:
    table = pyarrow.table({"data": [LARGE[start : start + MIB] for start in range(0, len(LARGE), MIB)]})
    parquet.write_table(table, f"{bucket}/large.parquet", filesystem=page, compression="none")
    told = s3.head_object(Bucket=bucket, Key="large.parquet")["ETag"]
    assert can(engine, Ability.PARTS_ETAG) == ("-" in told)
    back = parquet.read_table(f"{bucket}/large.parquet", filesystem=page)
    assert sha256(LARGE) == sha256(b"".join(back["data"].to_pylist()))


def test_files_are_streamed_told_copied_moved_and_removed(page: Any, bucket: str, engine: str) -> None:
    for name in odd_keys(engine):
        with page.open_output_stream(
            f"{bucket}/odd/{name}", metadata={"Content-Type": "text/x-odd"}
        ) as stream:
            stream.write(name.encode())
    found = page.get_file_info(fs.FileSelector(f"{bucket}/odd", recursive=True))
    files = {one.path: one.size for one in found if one.is_file}
    assert {f"{bucket}/odd/{name}": len(name.encode()) for name in odd_keys(engine)} == files
    for name in odd_keys(engine):
        with page.open_input_file(f"{bucket}/odd/{name}") as file:
            assert name.encode() == file.read()
    page.copy_file(f"{bucket}/odd/plain", f"{bucket}/copy ü+")
    page.move(f"{bucket}/copy ü+", f"{bucket}/moved")
    with page.open_input_file(f"{bucket}/moved") as file:
        assert b"ain" == file.read_at(3, 2)
    page.delete_file(f"{bucket}/moved")
    page.delete_dir(f"{bucket}/odd")
    assert [] == page.get_file_info(fs.FileSelector(bucket, recursive=True))


def test_refusals_are_told(page: Any, s3_gateway: RunningGateway, anna: Credentials, bucket: str) -> None:
    with pytest.raises(FileNotFoundError):
        page.open_input_file(f"{bucket}/gone")
    wrong = made_by_page(CLIENT, s3_gateway.url, with_wrong_secret(anna))["s3"]
    with pytest.raises(OSError, match="SIGNATURE_DOES_NOT_MATCH"):
        wrong.get_file_info(fs.FileSelector(bucket))
