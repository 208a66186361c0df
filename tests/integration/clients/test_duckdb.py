"""DuckDB's httpfs: queries over objects, and tables written as objects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extension_httpfs
import pytest

from tests.gateway import Credentials, RunningGateway
from tests.integration.clients.kit import MIB, settings, with_wrong_secret

pytestmark = pytest.mark.every_engine

CLIENT = "DuckDB"


def connection_for(gateway: RunningGateway, credentials: Credentials) -> Any:
    """With the page's secret; the extension is loaded from its file, for INSTALL would ask the network."""
    connection = duckdb.connect()
    folder = Path(duckdb_extension_httpfs.__file__).parent
    connection.load_extension(str(next(folder.rglob("httpfs.duckdb_extension"))))
    connection.execute(settings(CLIENT, gateway.url, credentials))
    return connection


@pytest.fixture
def duck(s3_gateway: RunningGateway, anna: Credentials) -> Iterator[Any]:
    """Anna's DuckDB."""
    connection = connection_for(s3_gateway, anna)
    yield connection
    connection.close()


def test_a_large_table_is_written_in_parts_and_read_in_ranges(duck: Any, s3: Any, bucket: str) -> None:
    place = f"s3://{bucket}/a dir/large ü+.parquet"
    duck.execute("SET s3_uploader_max_filesize = '50GB'")  # the smallest: parts of 5 MB instead of 80
    rows = "SELECT i, hash(i) AS h, hash(i + 1) AS g, hash(i + 2) AS f FROM range(800000) t(i)"
    duck.execute(f"COPY ({rows}) TO '{place}' (FORMAT parquet)")
    told = s3.head_object(Bucket=bucket, Key="a dir/large ü+.parquet")
    assert told["ContentLength"] > 16 * MIB
    assert "-" in told["ETag"]
    assert (800_000, sum(range(800_000))) == duck.execute(
        f"SELECT count(*), sum(i) FROM '{place}'"
    ).fetchone()
    different = f"SELECT count(*) FROM '{place}' WHERE h <> hash(i) OR g <> hash(i + 1) OR f <> hash(i + 2)"
    assert (0,) == duck.execute(different).fetchone()


@pytest.mark.journey
def test_partitions_are_written_found_by_pattern_and_overwritten(duck: Any, s3: Any, bucket: str) -> None:
    where = f"s3://{bucket}/set"
    query = "SELECT i, i % 3 AS part FROM range(30) t(i)"
    duck.execute(f"COPY ({query}) TO '{where}' (FORMAT parquet, PARTITION_BY (part))")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert ["set/part=0", "set/part=1", "set/part=2"] == [key.rpartition("/")[0] for key in keys]
    read = f"SELECT sum(i) FROM read_parquet('{where}/*/*.parquet', hive_partitioning = true) WHERE part = 1"
    assert (sum(range(1, 30, 3)),) == duck.execute(read).fetchone()
    duck.execute(f"COPY (SELECT 'ü' AS word, 1 AS n) TO '{where}/one.csv' (HEADER)")
    duck.execute(f"COPY (SELECT 'ü' AS word, 2 AS n) TO '{where}/one.csv' (HEADER)")
    assert b"word,n\n\xc3\xbc,2\n" == s3.get_object(Bucket=bucket, Key="set/one.csv")["Body"].read()
    assert [("ü", 2)] == duck.execute(f"FROM '{where}/one.csv'").fetchall()


def test_refusals_are_told(duck: Any, s3_gateway: RunningGateway, anna: Credentials, bucket: str) -> None:
    with pytest.raises(duckdb.HTTPException, match="404"):
        duck.execute(f"FROM 's3://{bucket}/gone.parquet'")
    wrong = connection_for(s3_gateway, with_wrong_secret(anna))
    with pytest.raises(duckdb.HTTPException, match="403"):
        wrong.execute(f"FROM 's3://{bucket}/gone.parquet'")
    wrong.close()
