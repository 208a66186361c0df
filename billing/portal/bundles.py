"""A member's bundle, all that is needed to check a statement, asked of whoever holds the keys to make it.

The portal has neither the co-op's signing key nor its master key. It hands over a line to answer on and a file to write
into, through a socket it inherits, and knows no more of how a bundle is made.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import tempfile
from contextlib import ExitStack
from typing import IO

from billing.settings import BillingSettings
from meter.ids import MemberId
from meter.refusal import Refusal
from meter.window import Month

LINE_VARIABLE = "WEIR_BUNDLER_FD"
QUESTION_BYTES_MAX = 1024
ANSWER_BYTES_MAX = 64 * 1024
AGAIN_S = 60
MEDIA_TYPE = "application/zip"


class NoBundle(Refusal):
    """None can be had as things stand."""


class BundlerBusy(Refusal):
    """Another member's is being made; after a while there may be one."""


def too_many_records(records_max: int) -> NoBundle:
    """Of a month that has more than are put in a file."""
    return NoBundle(
        f"that is more than {records_max:,} records (portal_bundle_records_max); ask whoever runs the co-op for "
        "`weir download`"
    )


class Bundles:
    """Asks for bundles, one at a time."""

    def __init__(self, line: socket.socket, settings: BillingSettings) -> None:
        line.settimeout(0)
        self._line = line
        self._timeout_s = settings.portal_bundle_timeout_s
        self._turn = asyncio.Lock()

    @classmethod
    def inherited(cls, settings: BillingSettings) -> Bundles | None:
        """By the line that our parent left us, if it did."""
        number = os.environ.get(LINE_VARIABLE)
        return None if number is None else cls(socket.socket(fileno=int(number)), settings)

    async def made(self, member: MemberId, period: Month | int) -> IO[bytes]:
        """The ZIP of a closed month, or of a fiscal year by its number; whoever asked closes it.

        Raises NoBundle, BundlerBusy.
        """
        if self._turn.locked():
            raise BundlerBusy("the files of another statement are being made just now; try again in a minute")
        async with self._turn:
            with ExitStack() as stack:
                file = stack.enter_context(tempfile.TemporaryFile())
                told = await self._asked(member, period, file)
                if "refused" in told:
                    raise NoBundle(str(told["refused"]))
                stack.pop_all()
                return file

    async def _asked(self, member: MemberId, period: Month | int, file: IO[bytes]) -> dict[str, object]:
        question = json.dumps({"member": int(member), "period": str(period)}).encode()
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            try:
                socket.send_fds(self._line, [question], [file.fileno(), writing])
            finally:
                os.close(writing)
            async with asyncio.timeout(self._timeout_s):
                told: dict[str, object] = json.loads(await _to_its_end(reading))
        except (TimeoutError, OSError, ValueError):  # too late, nobody there, or an end without a word
            raise NoBundle(
                f"these files were not made within {self._timeout_s} seconds, or not at all; ask whoever runs the co-op "
                "for `weir download`"
            ) from None
        finally:
            os.close(reading)
        return told


async def _to_its_end(reading: int) -> bytes:
    """What is said on a line until nobody holds its other end, or it is more than an answer can be."""
    told = bytearray()
    while len(told) <= ANSWER_BYTES_MAX:
        await readable(reading)
        piece = os.read(reading, ANSWER_BYTES_MAX)
        if not piece:
            break
        told += piece
    return bytes(told)


async def readable(descriptor: int) -> None:
    """Wait until something can be read, or the other end is closed."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
