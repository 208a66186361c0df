"""Listening sockets, owned by the parent so that a worker's end loses no waiting connection.

It knows addresses and ports; who serves them is the supervisor's matter.
"""

from __future__ import annotations

import errno
import socket

from meter.refusal import Refusal


class CannotListen(Refusal):
    """The address cannot be listened on; the sentence names port and setting."""


def listen(host: str, port: int, *, slots: int, backlog: int, setting: str) -> list[socket.socket]:
    """One listening socket for each slot, all on the same address; port 0 takes a free one.

    With several slots the kernel spreads connections over them (SO_REUSEPORT). Raises CannotListen.
    """
    family, address = _resolve(host, port, setting=setting)
    first = _bound(family, address, shared=False, setting=setting)
    if slots == 1:
        first.listen(backlog)
        return [first]
    # The first one was alone on purpose: with SO_REUSEPORT a second Weir would silently get half of
    # the connections instead of an error. Now that the port is known to be free, the slots share it.
    address = (address[0], first.getsockname()[1], *address[2:])
    first.close()
    sockets = [_bound(family, address, shared=True, setting=setting) for _ in range(slots)]
    for one in sockets:
        one.listen(backlog)
    return sockets


def url_of(listening: socket.socket) -> str:
    """http:// and the address; a wildcard address is shown as this machine's loopback."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  read, not listened on
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _resolve(host: str, port: int, *, setting: str) -> tuple[socket.AddressFamily, tuple[str | int, ...]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise CannotListen(
            f"setting {setting}_host is {host!r}, and that is no address of this machine"
        ) from None
    family, *_, address = found[0]
    return family, (str(address[0]), port, *address[2:])


def _bound(
    family: socket.AddressFamily, address: tuple[str | int, ...], *, shared: bool, setting: str
) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(address)
        if not shared:
            # Linux allows two binds with SO_REUSEADDR; only listening tells whether the port is free.
            one.listen(1)
    except OSError as error:
        one.close()
        raise CannotListen(_why(error, host=str(address[0]), port=int(address[1]), setting=setting)) from None
    return one


def _why(error: OSError, *, host: str, port: int, setting: str) -> str:
    option = f"--{setting}-port"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; choose another with {option} or setting {setting}_port"
    if error.errno == errno.EACCES:
        return f"port {port} needs privileges; choose one above 1023 with {option} or setting {setting}_port"
    return f"cannot listen on {host} port {port} (settings {setting}_host, {setting}_port): {error.strerror}"
