"""How many connections fit, and how many descriptors they need."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.crowd import Crowd, connections_within, descriptors_for
from gateway.memory import group_bytes, worker_bytes_max
from gateway.turned import Reason


def test_a_fourth_of_the_descriptors_and_256_are_kept_for_other_things() -> None:
    assert 512 == connections_within(4096, descriptors_max=1024)
    assert 4096 == connections_within(4096, descriptors_max=65_536)
    assert 1 == connections_within(4096, descriptors_max=200)


@pytest.mark.parametrize("connections", [1, 2, 3, 100, 4096, 100_000])
def test_what_the_doctor_asks_for_is_enough_and_little_more(connections: int) -> None:
    needed = descriptors_for(connections)
    assert connections == connections_within(connections, descriptors_max=needed)
    assert connections > connections_within(connections, descriptors_max=needed - 3) or connections == 1


def test_workers_have_half_of_what_there_is_in_equal_parts() -> None:
    assert 1_000 == worker_bytes_max(workers=4, machine_bytes=8_000, group_bytes=None)
    assert 500 == worker_bytes_max(workers=4, machine_bytes=8_000, group_bytes=4_000)
    assert 1_000 == worker_bytes_max(workers=4, machine_bytes=8_000, group_bytes=9_000)


def test_the_least_limit_of_a_control_group_and_those_above_it_counts(tmp_path: Path) -> None:
    groups, own = tmp_path / "groups", tmp_path / "own"
    (groups / "system.slice" / "weir.service").mkdir(parents=True)
    (groups / "system.slice" / "memory.max").write_text("2000000000\n")
    (groups / "system.slice" / "weir.service" / "memory.max").write_text("max\n")
    own.write_text("0::/system.slice/weir.service\n")
    assert 2_000_000_000 == group_bytes(own, groups)
    (groups / "system.slice" / "weir.service" / "memory.max").write_text("1000000000\n")
    assert 1_000_000_000 == group_bytes(own, groups)


def test_without_such_groups_there_is_no_limit(tmp_path: Path) -> None:
    own = tmp_path / "own"
    assert group_bytes(own, tmp_path) is None
    own.write_text("9:memory:/docker/abc\n")
    assert group_bytes(own, tmp_path) is None


def test_a_proxy_that_leaves_takes_nothing_from_its_neighbours() -> None:
    crowd = Crowd(address_connections_max=1, trusted_proxies="2001:db8::1")
    assert (None, None) == (crowd.enter("2001:db8::1"), crowd.enter("2001:db8::2"))
    crowd.leave("2001:db8::1")
    assert (Reason.ADDRESS_CONNECTIONS, 1) == (crowd.enter("2001:db8::3"), crowd.count)
    crowd.leave("2001:db8::2")
    assert crowd.enter("2001:db8::3") is None
