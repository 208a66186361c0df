"""Listening sockets: a free port for all slots, and a clear sentence when there is none."""

import socket

import pytest

from deploy.sockets import CannotListen, listen, url_of


def test_all_slots_share_one_free_port_and_the_kernel_spreads_connections() -> None:
    slots = listen("127.0.0.1", 0, slots=3, backlog=128, setting="gateway")
    try:
        addresses = {one.getsockname() for one in slots}
        assert 1 == len(addresses)
        clients = [socket.create_connection(slots[0].getsockname()) for _ in range(60)]
        taken = []
        for one in slots:
            one.setblocking(False)
            count = 0
            try:
                while True:
                    one.accept()[0].close()
                    count += 1
            except BlockingIOError:
                taken.append(count)
        assert 60 == sum(taken)
        assert all(taken)
        for client in clients:
            client.close()
    finally:
        for one in slots:
            one.close()


@pytest.mark.parametrize("slots", [1, 2])
def test_a_port_in_use_is_named_with_its_setting(slots: int) -> None:
    taken = listen("127.0.0.1", 0, slots=2, backlog=16, setting="gateway")
    try:
        port = taken[0].getsockname()[1]
        with pytest.raises(CannotListen) as refused:
            listen("127.0.0.1", port, slots=slots, backlog=16, setting="portal")
        assert (
            f"port {port} on 127.0.0.1 is in use; choose another with --portal-port or setting portal_port"
            == str(refused.value)
        )
    finally:
        for one in taken:
            one.close()


def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(CannotListen, match="setting admin_host is 'no such host'"):
        listen("no such host", 0, slots=1, backlog=16, setting="admin")


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(CannotListen, match=r"cannot listen on 192\.0\.2\.1 port"):
        listen("192.0.2.1", 0, slots=1, backlog=16, setting="admin")


def test_the_url_of_a_wildcard_address_is_one_a_client_can_use() -> None:
    (one,) = listen("0.0.0.0", 0, slots=1, backlog=16, setting="gateway")  # noqa: S104  the point of it
    with one:
        assert f"http://127.0.0.1:{one.getsockname()[1]}" == url_of(one)
