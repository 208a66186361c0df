"""Some hundred connections at two workers: all are served, cost little memory, and those beyond are told so."""

from __future__ import annotations

from pathlib import Path

from tests.bench.crowd import Many, pss_bytes
from tests.integration.limits_kit import SMALL, limited
from tests.integration.s3_kit import eventually
from tests.postgres import TestServer

IDLE, ACTIVE, SECONDS = 600, 100, 3
CONNECTION_BYTES_MAX = 40_000
"""Memory of an idle connection; 10,000 of them are 400 MB then."""


def test_a_crowd_is_served_in_little_memory_and_those_beyond_the_cap_are_told_503(
    postgres_server: TestServer, tmp_path: Path
) -> None:
    with limited(postgres_server, tmp_path, workers=2, connections_max=420, header_timeout_s=60) as told:
        gateway, request = told.gateway, told.get(told.anna)
        before = sum(sum(pss_bytes(one.pid).values()) for one in gateway.processes)
        with Many(
            gateway.port, request, answer_bytes=len(SMALL), first=2, idle=IDLE, active=ACTIVE, seconds=SECONDS
        ) as crowd:
            idle, active = crowd.told(), crowd.told()
            assert (IDLE, 0, 0) == (idle["served"], idle["refused"], idle["closed"])
            assert (ACTIVE * SECONDS, 0, 0) == (active["served"], active["refused"], active["closed"])
            assert IDLE + ACTIVE == active["open"]
            more = sum(sum(pss_bytes(one.pid).values()) for one in gateway.processes) - before
            assert more < (IDLE + ACTIVE) * CONNECTION_BYTES_MAX
            with Many(
                gateway.port, request, answer_bytes=len(SMALL), first=60, idle=IDLE, active=0, seconds=0
            ) as beyond:
                found = beyond.told()
            # What there is room for is full; of the refused each has heard why.
            assert 2 * 420 - IDLE - ACTIVE == found["served"]
            assert IDLE - found["served"] == found["refused"]
            assert eventually(lambda: found["refused"] == told.limited("connections"))
