"""Load from several clients at once: each puts and gets, compares what comes back, and counts for itself."""

from __future__ import annotations

import io
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Self

from boto3.s3.transfer import TransferConfig

from tests.integration.gateways_kit import s3_of

PATIENCE_S = 120
ONE_PIECE = TransferConfig(use_threads=False, multipart_threshold=2**30)


@dataclass
class Load:
    """Clients that go on until they are told to stop. A failure is kept, and ends its client."""

    url: str
    keys: tuple[str, str]
    bucket: str
    seed: int
    clients: int = 4
    size_max: int = 300_000
    attempts: int | None = None
    """None: what boto3 does by itself."""
    failures: list[str] = field(default_factory=list)
    puts: dict[str, int] = field(default_factory=dict)
    got_bytes: int = 0
    done: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(self.clients)]
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for one in self._threads:
            one.join(PATIENCE_S)

    def more(self, count: int) -> None:
        """Wait until so many more rounds are done."""
        wanted, until = self.done + count, time.monotonic() + PATIENCE_S
        while self.done < wanted and not self.failures:
            assert time.monotonic() < until, f"{self.done} of {wanted} rounds"
            time.sleep(0.01)
        assert [] == self.failures

    def _run(self, number: int) -> None:
        dice = random.Random(f"{self.seed} {number}")
        options = {} if self.attempts is None else {"retries": {"total_max_attempts": self.attempts}}
        s3 = s3_of(self.url, *self.keys, **options)
        try:
            for turn in range(10**6):
                if self._stop.is_set():
                    return
                self._round(s3, f"{number}-{turn}", dice.randbytes(dice.randrange(self.size_max)))
        except Exception as error:  # noqa: BLE001 - whatever a client meets is what the test asks for
            self.failures.append(f"client {number}: {error!r}")
        finally:
            s3.close()

    def _round(self, s3: Any, key: str, body: bytes) -> None:
        s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        with self._lock:
            self.puts[key] = len(body)
        got = io.BytesIO()
        # Of a body that breaks off boto3 itself tries only what its transfers read.
        s3.download_fileobj(self.bucket, key, got, Config=ONE_PIECE)
        assert body == got.getvalue()
        with self._lock:
            self.got_bytes += len(body)
            self.done += 1
