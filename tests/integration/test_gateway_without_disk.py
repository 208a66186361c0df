"""A gateway on a machine of its own, in front of another S3 system: the disk it does not reach is said, not guessed."""

import json
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.engines.ceph import Ceph
from tests.integration.gateways_kit import beside, running, s3_of, up
from tests.integration.s3_kit import eventually


def test_it_serves_other_engines_and_refuses_what_is_on_the_disk(
    radosgw: Ceph, database: str, tmp_path: Path
) -> None:
    home = up(tmp_path / "home", database)
    far = beside(tmp_path / "far", database, home.data, disk_home="none")
    secret = tmp_path / "secret"
    secret.write_text(radosgw.secret_key)
    with running(home, far):
        home.weir("member", "add", "anna", "--class", "user")
        key = json.loads(home.weir("key", "create", "anna", "--json"))
        here = s3_of(home.url, key["access_key"], key["secret_key"])
        there = s3_of(far.url, key["access_key"], key["secret_key"], retries={"max_attempts": 1})
        here.create_bucket(Bucket="at-home")
        here.put_object(Bucket="at-home", Key="a", Body=b"1")
        home.weir(
            "engine", "add", "ceph", "--endpoint", radosgw.endpoint, "--region", radosgw.region, "--access-key",
            radosgw.access_key, "--secret-file", str(secret), "--prefix", "far-",
        )  # fmt: skip
        for refused in (
            lambda: there.get_object(Bucket="at-home", Key="a"),
            lambda: there.put_object(Bucket="at-home", Key="b", Body=b"2"),
            lambda: there.create_bucket(Bucket="not-made"),
        ):
            with pytest.raises(ClientError) as failure:
                refused()
            assert "ServiceUnavailable" == failure.value.response["Error"]["Code"]
        assert ["at-home"] == [one["Name"] for one in here.list_buckets()["Buckets"]]
        home.weir("engine", "default", "ceph")

        def makes_it() -> bool:
            try:
                there.create_bucket(Bucket="far-away")
            except ClientError:
                return False
            return True

        eventually(makes_it)
        there.put_object(Bucket="far-away", Key="a", Body=b"12345")
        assert b"12345" == here.get_object(Bucket="far-away", Key="a")["Body"].read()
        assert b"1" == here.get_object(Bucket="at-home", Key="a")["Body"].read()
        here.close()
        there.close()
