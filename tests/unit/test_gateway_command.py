"""What `weir gateway run` refuses before it starts anything, and how the list tells a living gateway."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from billing.settings import BillingSettings
from deploy.commands.gateway import bring_master_key, check_settings, document
from deploy.running import RoomsSettings
from deploy.settings import DeploySettings
from gateway.gateways_store import Listed
from gateway.settings import GatewaySettings
from meter.refusal import Refusal
from meter.settings import MeterSettings

DSN = "postgresql://weir@db.internal/weir"
SEEN = datetime(2026, 11, 26, tzinfo=UTC)


def rooms(database_url: str) -> RoomsSettings:
    return RoomsSettings(DeploySettings(), MeterSettings(database_url=database_url), BillingSettings())


def test_a_gateway_of_its_own_needs_the_co_op_s_database() -> None:
    with pytest.raises(Refusal, match="WEIR_DATABASE_URL"):
        check_settings(rooms(""), GatewaySettings())


def test_a_gateway_of_its_own_begins_no_second_store_of_objects(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="disk_home"):
        check_settings(rooms(DSN), GatewaySettings())
    with pytest.raises(Refusal, match="there is no"):
        check_settings(rooms(DSN), GatewaySettings(disk_home=str(tmp_path)))
    check_settings(rooms(DSN), GatewaySettings(disk_home="none"))
    (tmp_path / "engine").mkdir()
    check_settings(rooms(DSN), GatewaySettings(disk_home=str(tmp_path)))


def test_the_master_key_is_brought_once_and_never_exchanged(tmp_path: Path) -> None:
    data, one, other = tmp_path / "data", tmp_path / "one", tmp_path / "other"
    one.write_bytes(bytes(32))
    other.write_bytes(bytes(31) + b"x")
    with pytest.raises(Refusal, match="--master-key"):
        bring_master_key(data, None)
    bring_master_key(data, one)
    bring_master_key(data, None)
    bring_master_key(data, one)
    assert (bytes(32), 0o600) == (
        (data / "secret.key").read_bytes(),
        (data / "secret.key").stat().st_mode & 0o777,
    )
    with pytest.raises(Refusal, match="another master key"):
        bring_master_key(data, other)


@pytest.mark.parametrize(
    ("seen_s", "stopped", "expected"),
    [(29.0, None, "alive"), (31.0, None, "silent"), (31.0, SEEN, "stopped")],
)
def test_a_gateway_that_is_silent_too_long_is_said_to_be(
    seen_s: float, stopped: datetime | None, expected: str
) -> None:
    one = Listed(UUID(int=1), "gw", "1", SEEN, SEEN, seen_s, stopped, 0, 0, 0, 1, None)
    assert expected == document(one, lease_s=30)["state"]
