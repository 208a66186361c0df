"""The base of the large GET: a process that answers with one os.sendfile loop over loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def sendfile_server(size: int) -> Iterator[int]:
    """Its port."""
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(size // 2**20):
            file.write(os.urandom(2**20))
        file.flush()
        listener = socket.create_server(("127.0.0.1", 0))
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.plain", str(listener.fileno()), file.name, str(size)],
            pass_fds=[listener.fileno()], cwd=ROOT,
        )  # fmt: skip
        try:
            yield int(listener.getsockname()[1])
        finally:
            process.kill()
            process.wait()
            listener.close()


def main(descriptor: int, path: str, size: int) -> None:
    """Serve one connection after another."""
    listener = socket.socket(fileno=descriptor)
    source = os.open(path, os.O_RDONLY)
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            sent = 0
            while sent < size:
                sent += os.sendfile(connection.fileno(), source, sent, size - sent)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
