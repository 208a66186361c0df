"""What systemd is told, read from the socket as systemd would."""

import asyncio
import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.service_manager import ServiceManager

RECEIVE_TIMEOUT_S = 20


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(str(tmp_path / "notify"))
        one.settimeout(RECEIVE_TIMEOUT_S)
        yield one


def told(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().split("\n")


def environment(manager: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": str(manager.getsockname()), **more}


async def test_ready_is_told_at_once_and_stopping_when_the_reason_comes(manager: socket.socket) -> None:
    stopping = asyncio.Event()
    serving = asyncio.create_task(ServiceManager(print, environment(manager)).serving(stopping.wait()))
    await asyncio.sleep(0)
    assert "READY=1" in told(manager)
    assert not serving.done()
    stopping.set()
    await serving
    assert "STOPPING=1" in told(manager)


async def test_a_reload_is_told_and_its_end_too_also_where_it_fails(manager: socket.socket) -> None:
    async def reload() -> None:
        raise OSError("a worker did not start")

    with pytest.raises(OSError, match="a worker did not start"):
        await ServiceManager(print, environment(manager)).while_reloading(reload())
    began = told(manager)
    assert "RELOADING=1" in began
    # systemd.service(5), Type=notify-reload: in microseconds, or systemd ignores the message.
    (since,) = (line for line in began if line.startswith("MONOTONIC_USEC="))
    assert since.removeprefix("MONOTONIC_USEC=").isdecimal()
    assert "READY=1" in told(manager)


async def test_signs_of_life_come_as_often_as_asked_and_end_with_the_block(manager: socket.socket) -> None:
    one = ServiceManager(print, environment(manager, WATCHDOG_USEC="20000", WATCHDOG_PID=str(os.getpid())))
    loop = asyncio.get_running_loop()
    manager.setblocking(False)
    async with one.watched():
        for _ in range(3):
            told_now = await asyncio.wait_for(loop.sock_recv(manager, 4096), RECEIVE_TIMEOUT_S)
            assert b"WATCHDOG=1" == told_now
    while select.select([manager], [], [], 0)[0]:
        manager.recv(4096)
    # Ten of the spans they came in.
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(loop.sock_recv(manager, 4096), 0.1)


async def test_a_watchdog_that_is_meant_for_somebody_else_is_none_of_ours(manager: socket.socket) -> None:
    one = ServiceManager(print, environment(manager, WATCHDOG_USEC="1000", WATCHDOG_PID="1"))
    async with one.watched():
        await asyncio.sleep(0)
    manager.settimeout(0.1)
    with pytest.raises(TimeoutError):
        manager.recv(4096)


async def test_an_abstract_name_is_reached() -> None:
    name = f"weir-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind("\0" + name)
        one.settimeout(RECEIVE_TIMEOUT_S)
        ready = asyncio.Event()
        ready.set()
        await ServiceManager(print, {"NOTIFY_SOCKET": "@" + name}).serving(ready.wait())
        assert "READY=1" in told(one)


async def test_nobody_is_told_where_nobody_asked_and_one_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    done = asyncio.Event()
    done.set()
    await ServiceManager(said.append, {}).serving(done.wait())
    assert [] == said
    await ServiceManager(said.append, {"NOTIFY_SOCKET": str(tmp_path / "gone")}).serving(done.wait())
    assert 2 == len(said)
    assert said[0].startswith("systemd could not be told READY=1")
