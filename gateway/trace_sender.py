"""Sends spans to the operator's collector, from a thread of its own: whoever serves members only adds to a bounded line.

A collector that is slow, dead or refuses costs spans and nothing else. Where it is comes from the settings alone, never from
a request.
"""

from __future__ import annotations

import http.client
import logging
import ssl
import threading
import time
from collections import deque
from collections.abc import Mapping
from urllib.parse import urlsplit

from gateway.trace import Span, document

log = logging.getLogger(__name__)
BATCH_MAX = 512
EVERY_S = 1.0
TIMEOUT_S = 5.0
REST_S = 30.0
"""After a failure; what comes meanwhile waits, and the oldest goes when the line is full."""
LAST_S = 2.0
"""At a stop the thread gets so long for what is left."""
TELL_EVERY_S = 60.0


class Sender:
    """The line and its thread. `add` never waits."""

    def __init__(self, url: str, *, waiting_max: int, resource: Mapping[str, str]) -> None:
        self._url = urlsplit(url)
        self._resource = resource
        self._waiting: deque[Span] = deque(maxlen=waiting_max)
        self._stopping = threading.Event()
        self.dropped = 0
        """Spans nobody was told of: the line was full, or the collector refused them."""
        self.sent = 0
        self._told_at = -TELL_EVERY_S
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def add(self, spans: list[Span]) -> None:
        """One exchange's. When the line is full the oldest go."""
        waiting = self._waiting
        assert waiting.maxlen is not None
        self.dropped += max(0, len(waiting) + len(spans) - waiting.maxlen)
        waiting.extend(spans)

    def close(self) -> None:
        """Send what is left, if that is quick."""
        self._stopping.set()
        self._thread.join(LAST_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._stopping.wait(EVERY_S)
            while self._waiting:
                if not self._send():
                    self._stopping.wait(REST_S)
                    break
        if self._waiting:
            self._send()

    def _send(self) -> bool:
        """One batch; whether the collector took it. Of one that failed in passing the spans are gone: they are many."""
        batch: list[Span] = []
        while self._waiting and len(batch) < BATCH_MAX:
            batch.append(self._waiting.popleft())
        try:
            status = self._post(document(batch, resource=self._resource))
        except (OSError, http.client.HTTPException) as error:
            self._failed(len(batch), str(error) or type(error).__name__)
            return False
        if not 200 <= status < 300:
            self._failed(len(batch), f"it answered {status}")
            return False
        self.sent += len(batch)
        return True

    def _post(self, body: bytes) -> int:
        connection = self._connection()
        try:
            connection.request(
                "POST",
                self._url.path or "/",
                body,
                {"Content-Type": "application/json", "Connection": "close"},
            )
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            return http.client.HTTPSConnection(
                host, port, timeout=TIMEOUT_S, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)

    def _failed(self, count: int, why: str) -> None:
        self.dropped += count
        if time.monotonic() - self._told_at >= TELL_EVERY_S:
            self._told_at = time.monotonic()
            log.warning(
                "traces do not reach their collector (%s); %d spans were dropped so far", why, self.dropped
            )
