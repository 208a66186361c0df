"""weir engine against a real radosgw: what is refused before an engine is kept, and its own log of usage."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.place import check_format
from tests.engines.ceph import Ceph
from tests.gateway import RunningGateway, client
from tests.integration.test_move_radosgw import fetch, weir
from tests.integration.upstream_kit import gateway_before


def told(gateway: RunningGateway, holds: Callable[[dict[str, Any]], bool], *words: str) -> dict[str, Any]:
    """The comparison, once it holds: Ceph writes its log a second late."""
    found: dict[str, Any] = {}
    for _ in range(20):
        found = weir(gateway, "engine", "usage", "radosgw", *words, fails=None)
        if holds(found):
            return found
        time.sleep(1)
    raise AssertionError(found)


def test_an_engine_is_tried_and_its_usage_log_agrees_to_the_byte(
    radosgw: Ceph, database: str, tmp_path: Path
) -> None:
    check_format(tmp_path)
    radosgw.admin("caps", "add", "--uid=weir", "--caps=usage=read")
    with gateway_before(radosgw, tmp_path, database) as gateway:
        anna = gateway.member("anna")
        s3 = client(gateway, anna)
        s3.create_bucket(Bucket="photos")
        body = os.urandom(300_000)
        s3.put_object(Bucket="photos", Key="a", Body=body)
        assert body == s3.get_object(Bucket="photos", Key="a")["Body"].read()
        assert body[5:99] == s3.get_object(Bucket="photos", Key="a", Range="bytes=5-98")["Body"].read()
        s3.head_object(Bucket="photos", Key="a")
        s3.list_objects_v2(Bucket="photos")
        s3.delete_objects(Bucket="photos", Delete={"Objects": [{"Key": "a"}, {"Key": "none"}]})
        s3.put_object(Bucket="photos", Key="b", Body=b"")
        found = told(gateway, lambda found: bool(found["agrees"]), "--uid", "weir")
        assert 1 == found["buckets"]
        # Somebody else reads with our key: their five bytes, and their request, are named.
        s3.put_object(Bucket="photos", Key="c", Body=b"12345")
        (name,) = [row["upstream_name"] for row in fetch(gateway, "SELECT upstream_name FROM gateway.bucket")]
        straight = radosgw.client()
        assert b"12345" == straight.get_object(Bucket=name, Key="c")["Body"].read()
        straight.close()
        found = told(gateway, lambda found: len(found["differences"]) == 2)
        assert [("requests", 1), ("received bytes", 5)] == [
            (one["what"], one["theirs"] - one["ours"]) for one in found["differences"]
        ]
        wrong = tmp_path / "wrong"
        wrong.write_text("not the secret\n")
        common = (
            "--endpoint",
            radosgw.endpoint,
            "--region",
            radosgw.region,
            "--access-key",
            radosgw.access_key,
        )
        refused = weir(gateway, "engine", "add", "b", *common, "--secret-file", str(wrong), fails=True)
        assert "refuses the key: SignatureDoesNotMatch" in refused["error"]
        assert ["disk", "radosgw"] == [one["name"] for one in weir(gateway, "engine", "list")["engines"]]
        assert "not the secret" not in refused["error"]
