"""`python -m billing` as the supervisor runs it: an inherited socket, the line ready, a graceful end."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[2]


def start(environment: dict[str, str], *, descriptors: tuple[int, ...] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "billing"], cwd=ROOT, env={**os.environ, **environment}, pass_fds=descriptors,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_the_portal_serves_on_the_socket_it_inherits_and_ends_when_told(database: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        environment = {"WEIR_DATABASE_URL": database, "WEIR_PORTAL_FD": str(listening.fileno())}
        with start(environment, descriptors=(listening.fileno(),)) as portal:
            assert portal.stdout is not None
            assert "ready\n" == portal.stdout.readline()
            with urllib.request.urlopen(f"http://127.0.0.1:{listening.getsockname()[1]}/login") as reply:
                assert (200, "text/html; charset=utf-8") == (reply.status, reply.headers["Content-Type"])
            portal.send_signal(signal.SIGTERM)
            _, errors = portal.communicate(timeout=30)
    assert (0, "") == (portal.returncode, errors)


def test_what_is_no_http_is_a_line_in_the_log_and_no_trace(database: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        environment = {"WEIR_DATABASE_URL": database, "WEIR_PORTAL_FD": str(listening.fileno())}
        with start(environment, descriptors=(listening.fileno(),)) as portal:
            assert portal.stdout is not None
            assert "ready\n" == portal.stdout.readline()
            with socket.create_connection(listening.getsockname()) as stranger:
                stranger.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nno header\r\n\r\n")
                assert stranger.recv(100).startswith(b"HTTP/1.0 400 ")
            portal.send_signal(signal.SIGTERM)
            _, errors = portal.communicate(timeout=30)
    (told,) = errors.splitlines()
    assert " INFO not HTTP: " in told


def test_a_port_in_use_is_refused_with_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with start({"WEIR_PORTAL_PORT": str(port)}) as portal:
            output, errors = portal.communicate(timeout=30)
    assert (2, "") == (portal.returncode, output)
    assert f"portal_port {port} cannot be used: Address already in use" in errors
    assert "Traceback" not in errors
