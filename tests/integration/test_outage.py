"""Postgres away: object traffic goes on, also over a restart, and the backlog is counted when it is back."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.gateway import client, running_gateway
from tests.postgres import Loop, running_server


def test_the_gateway_serves_and_counts_while_postgres_is_away(tmp_path: Path) -> None:
    place = tmp_path / "pg"
    (place / "log").mkdir(parents=True)
    (tmp_path / "gateway").mkdir()
    with running_server(place) as server:
        loop: Loop = server._loop
        with running_gateway(tmp_path / "gateway", server.database()) as gateway:
            member = gateway.member("alice")
            s3 = client(gateway, member)
            s3.create_bucket(Bucket="kept")
            s3.put_object(Bucket="kept", Key="k", Body=b"x" * 1000)
            loop.run(server.server.stop(hurry=True))

            s3.put_object(Bucket="kept", Key="away", Body=b"y" * 500)
            assert b"x" * 1000 == s3.get_object(Bucket="kept", Key="k")["Body"].read()
            listing = s3.list_buckets()
            assert ["kept"] == [bucket["Name"] for bucket in listing["Buckets"]]
            listing_bytes = int(listing["ResponseMetadata"]["HTTPHeaders"]["content-length"])
            with pytest.raises(s3.exceptions.ClientError, match="ServiceUnavailable"):
                s3.create_bucket(Bucket="later")

            # A worker that starts now knows the directory from its copy on disk.
            gateway.end(signal.SIGKILL)
            gateway.start()
            assert b"y" * 500 == s3.get_object(Bucket="kept", Key="away")["Body"].read()

            loop.run(server.server.start())
            usage = gateway.usage(member.member)
            assert (1500, 1500 + listing_bytes) == (usage.bytes_in, usage.bytes_out)
            s3.create_bucket(Bucket="later")
