"""A TCP relay between one client and the gateway that counts the body bytes of each exchange by itself.

What it counts is what TCP says was delivered, seen from the relay's own socket:

* Out (gateway to client): the bytes its kernel has received, whether or not the relay has read them:
  those read, and the rest of the queue (SIOCINQ). The gateway's kernel learns of them when they are
  acknowledged. TCP may put an acknowledgement off, for two full packets and 200 ms (Linux, TCP_DELACK_MAX),
  and a reset does not carry it; so a client that resets may have had up to two packets it never acknowledged.
  The relay takes that doubt away. When its client breaks off it stops reading and waits until its kernel has
  acknowledged everything with a window of zero, after which no byte can come, or until all of the answer has come.
  That an acknowledgement was sent is not yet that it was heard: on a busy machine the two directions, and even a
  reset and what was sent before it, wait in queues of different processors, and a reset that overtakes takes the
  acknowledgement with it. So the relay sends an empty line, which every server must pass over before a request
  (RFC 9112, section 2.2). Each segment repeats what was acknowledged; when the line is acknowledged in turn, the
  gateway's kernel has heard it. Only then it resets. So what was received is what
  was acknowledged, and no difference is allowed for. (A pause without news is no such sign: into a window that
  is nearly closed the sender puts a last piece after 200 ms and more, RFC 9293, section 3.8.6.1.)
* In (client to gateway): the bytes the gateway's kernel has received: those the relay wrote, less those
  still in its send queue (SIOCOUTQ), or what the reset of a killed process acknowledged (witness.py). When its
  client breaks off an upload, the relay ends its half of the connection (FIN), so all that was acknowledged is
  also read.

After a kill -9 of the gateway nobody is left to know what the dead process's kernel goes on to deliver, or what
it had acknowledged and the process never read. That is the loss in the member's favour the report puts a figure on.
"""

from __future__ import annotations

import select
import socket
import struct
import termios
import threading
import time
from dataclasses import dataclass
from enum import Enum

from tests.truth.framing import Head, read_head
from tests.truth.sockets import STEP_BYTES, has_ended, moving, queued, receive, window_bytes
from tests.truth.witness import Witness

EMPTY_LINE = b"\r\n"
SETTLE_POLL_S = 0.02
PATIENCE_S = 60.0
RESET = struct.pack("ii", 1, 0)


class End(Enum):
    """Who ended an exchange."""

    WHOLE = "whole"
    """The answer arrived whole."""
    CLIENT = "client"
    """The client broke it off."""
    GATEWAY = "gateway"
    """The gateway's side broke off before the answer was whole: its process was killed."""


@dataclass
class Seen:
    """One exchange as the relay saw it."""

    client: str
    method: str
    target: str
    began_us: int
    ended_us: int = 0
    bytes_in: int = 0
    """Body bytes the gateway's kernel received."""
    bytes_out: int = 0
    """Body bytes the relay's kernel received."""
    status: int = 0
    """0 when no answer's head came."""
    request_id: str = ""
    end: End = End.GATEWAY


def now_us() -> int:
    """The wall clock that the gateway reads, too."""
    return time.time_ns() // 1000


class Relay:
    """Listens for one client, and keeps what it saw."""

    def __init__(self, client: str, gateway_port: int, witness: Witness, *, receive_bytes: int = 0) -> None:
        self._client = client
        self._gateway_port = gateway_port
        self._witness = witness
        self._receive_bytes = receive_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.seen: list[Seen] = []
        self.failure: BaseException | None = None
        self._idle = threading.Condition()
        self._open = 0
        threading.Thread(target=self._listen, name=f"relay-{client}", daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def wait_until_idle(self) -> None:
        """Until every connection is ended on both sides, so that exchanges of a client never overlap."""
        with self._idle:
            assert self._idle.wait_for(lambda: self._open == 0, timeout=2 * PATIENCE_S), "a relay hangs"

    def expect(self) -> None:
        """A client is about to connect."""
        with self._idle:
            self._open += 1

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            gateway = socket.socket()
            if self._receive_bytes:
                gateway.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_bytes)
            gateway.connect(("127.0.0.1", self._gateway_port))
            with client, gateway:
                Passage(self._client, client, gateway, self._witness, self.seen).run()
        except BaseException as error:  # told to the rig, whose run fails with it
            self.failure = error
            raise
        finally:
            with self._idle:
                self._open -= 1
                self._idle.notify_all()


class Passage:
    """One connection through the relay, exchange after exchange."""

    def __init__(
        self, name: str, client: socket.socket, gateway: socket.socket, witness: Witness, seen: list[Seen]
    ) -> None:
        self._name = name
        self._client = client
        self._gateway = gateway
        self._ends = Ends(witness, int(gateway.getsockname()[1]))
        self._seen = seen
        self._waiting = b""

    def run(self) -> None:
        """Until somebody ends the connection."""
        for one in (self._client, self._gateway):
            one.setblocking(False)
        goes_on = True
        while goes_on and (head := self._request_head()) is not None:
            seen = Seen(self._name, head.method, head.target, now_us())
            exchange = Exchange(seen, head, self._client, self._gateway, self._ends)
            try:
                goes_on = exchange.run(self._waiting)
            finally:
                seen.ended_us = now_us()
                self._seen.append(seen)
            self._waiting = b""
            self._ends.written += exchange.written

    def _request_head(self) -> Head | None:
        """The next request's head, passed on; None when one side has ended."""
        while (found := read_head(self._waiting)) is None:
            ready, _ = moving([self._client, self._gateway], [], PATIENCE_S)
            if self._gateway in ready or not ready:
                return None  # an idle connection ends: nothing of it is an exchange
            data = receive(self._client)
            if data == b"":
                return None
            self._waiting += data or b""
        head, self._waiting = found
        return head


@dataclass
class Ends:
    """How a connection's exchanges learn what the gateway's kernel had when it ended it."""

    witness: Witness
    port: int
    written: int = 0
    """By the exchanges before."""

    def had(self) -> int:
        """Bytes of the exchange that is under way; 0 or less while nobody has ended the connection."""
        return self.witness.had(self.port) - self.written


class Exchange:
    """One request and its answer on their way."""

    def __init__(
        self, seen: Seen, head: Head, client: socket.socket, gateway: socket.socket, ends: Ends
    ) -> None:
        self.seen = seen
        self._ends = ends
        self._client, self._gateway = client, gateway
        self._up = bytearray(head.raw)
        self._head_bytes = len(self._up)
        self._body_left = head.body_bytes()
        self.written = 0
        self._down = bytearray()
        self._answer: Head | None = None
        self._answer_bytes = 0
        self._answer_data = b""
        self._read = 0
        self._client_gone = self._gateway_gone = False

    def run(self, from_client: bytes) -> bool:
        """To its end; whether the connection goes on."""
        self._take_up(from_client)
        while True:
            if self._is_whole and not self._down:
                self.seen.end = End.WHOLE
                return self._after_whole()
            if self._client_gone:
                self.seen.end = End.CLIENT
                self._break_off()
                return False
            if self._gateway_gone and not self._down:
                self.seen.end = End.GATEWAY
                self._count_in()
                return False
            self._step()

    @property
    def _is_whole(self) -> bool:
        return self._answer is not None and self.seen.bytes_out == self._answer_bytes

    def _step(self) -> None:
        reads = [] if self._gateway_gone or len(self._down) > STEP_BYTES else [self._gateway]
        reads += [self._client] if len(self._up) < STEP_BYTES else []
        writes = [self._gateway] if self._up and not self._gateway_gone else []
        writes += [self._client] if self._down else []
        readable, writable = moving(reads, writes, PATIENCE_S)
        assert readable or writable, f"nothing moves: {self.seen}"
        if self._gateway in writable:
            self._send_up()
        if self._gateway in readable:
            self._read_gateway()
        # Before the answer goes on: whoever has it asks again at once, and that is another exchange.
        if self._client in readable:
            data = receive(self._client)
            self._client_gone |= data == b""
            self._take_up(data or b"")
        if self._client in writable and self._down:
            try:
                del self._down[: self._client.send(memoryview(self._down)[:STEP_BYTES])]
            except BlockingIOError:
                pass  # not writable after all
            except OSError:
                self._client_gone = True

    def _take_up(self, data: bytes) -> None:
        assert len(data) <= self._body_left, "clients wait for an answer before they ask again"
        self._body_left -= len(data)
        self._up += data

    def _send_up(self) -> None:
        try:
            count = self._gateway.send(memoryview(self._up)[:STEP_BYTES])
        except BlockingIOError:
            return
        except OSError:
            # The answer may still be in our queue, and then tells more than the error.
            self._up.clear()
            return
        self.written += count
        del self._up[:count]

    def _read_gateway(self) -> None:
        data = receive(self._gateway)
        self._gateway_gone = data == b""
        if data:
            self._down += data
            self._count_out(data)

    def _count_out(self, data: bytes) -> None:
        if self._answer is not None:
            self.seen.bytes_out += len(data)
            assert self.seen.bytes_out <= self._answer_bytes, "more body than announced"
            return
        self._answer_data += data
        while (found := read_head(self._answer_data)) is not None:
            head, rest = found
            self._answer_data = rest
            if head.status >= 200:
                self._answer = head
                self._answer_bytes = head.body_bytes(request=self.seen.method)
                self.seen.status = head.status
                self.seen.request_id = head.headers.get("x-amz-request-id", "")
                self._count_out(rest)
                return

    def _count_in(self) -> None:
        acknowledged = self.written - queued(self._gateway, termios.TIOCOUTQ)
        had = max(acknowledged, min(self._ends.had(), self.written))
        self.seen.bytes_in = max(0, had - self._head_bytes)

    def _after_whole(self) -> bool:
        """The answer is there; the connection goes on if the request was sent whole."""
        assert self._answer is not None
        whole = not self._up and not self._body_left
        if whole:
            self._wait_for_acknowledgement()
        self._count_in()
        closes = self._answer.headers.get("connection", "").lower() == "close"
        return whole and not closes and not self._gateway_gone

    def _break_off(self) -> None:
        """The client has left; see the module's words on what is done about it."""
        if self._up or self._body_left or self._answer is None:
            self._finish_upload()
        else:
            self._settle_download()

    def _finish_upload(self) -> None:
        """All the client had sent goes on its way, then an end; what the gateway says to that is read."""
        while self._up and not self._gateway_gone:
            _, writable = moving([], [self._gateway], PATIENCE_S)
            assert writable, f"nothing moves: {self.seen}"
            self._send_up()
        self._wait_for_acknowledgement()
        self._count_in()
        try:
            self._gateway.shutdown(socket.SHUT_WR)
        except OSError:
            self._gateway_gone = True  # it was first
        while not self._gateway_gone:
            readable, _ = moving([self._gateway], [], PATIENCE_S)
            assert readable, f"the gateway does not end: {self.seen}"
            self._read_gateway()

    def _wait_for_acknowledgement(self) -> None:
        """Until the gateway's kernel has acknowledged all we wrote, or has reset the connection."""
        gone = select.poll()
        gone.register(self._gateway, 0)
        deadline = time.monotonic() + PATIENCE_S
        while queued(self._gateway, termios.TIOCOUTQ) and not gone.poll(0):
            assert time.monotonic() < deadline, f"nothing is acknowledged: {self.seen}"
            threading.Event().wait(SETTLE_POLL_S / 10)

    def _settle_download(self) -> None:
        self._wait_for_acknowledgement()
        self._count_in()
        deadline = time.monotonic() + PATIENCE_S
        while (received := self._settled_bytes()) is None:
            assert time.monotonic() < deadline, f"it never settles: {self.seen}"
            threading.Event().wait(SETTLE_POLL_S)
        self.seen.bytes_out = received
        self._gateway.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def _settled_bytes(self) -> int | None:
        """All that arrived, once nothing more can arrive and the gateway's kernel has heard of all; None before."""
        received = self._arrived()
        if has_ended(self._gateway):
            return self._arrived()  # nobody is left to hear of it, and nothing comes behind an end
        if received < self._answer_bytes and window_bytes(self._gateway):
            return None
        try:
            self._gateway.send(EMPTY_LINE)
        except OSError:
            return None  # it has just ended
        self._wait_for_acknowledgement()
        # The line may have opened the window anew, if the kernel has found more room meanwhile.
        is_shut = received == self._answer_bytes or not window_bytes(self._gateway)
        return received if is_shut and received == self._arrived() else None

    def _arrived(self) -> int:
        return self.seen.bytes_out + queued(self._gateway, termios.FIONREAD)
