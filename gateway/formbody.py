"""The body of an upload form: its fields first, then its file as an incoming body like any other.

All of it is counted as it moves, the fields and the form's own frames too: it is the HTTP body.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from aiohttp import StreamReader

from gateway.body import SHORT_BYTES, Body
from gateway.call import Received
from gateway.checksum import asked_checksum
from gateway.counting import Counting
from gateway.errors import S3Error, s3_error
from gateway.postform import FIELDS_BYTES_MAX, REST_BYTES_MAX, Form, FormParser, boundary_of
from gateway.postpolicy import PostPolicy
from gateway.settings import GatewaySettings
from gateway.sigv4.chunked import ChunkDecoder
from gateway.sigv4.form import UNSIGNED_FORM
from gateway.storage.base import Staged


class FormBody(Body):
    """First form(), then accept() with what was decided of it, then into()."""

    def __init__(
        self, content: StreamReader, headers: Mapping[str, str], *, counting: Counting, settings: GatewaySettings,
        ask_for_it: bool, descriptor: int,
    ) -> None:  # fmt: skip
        super().__init__(
            content, headers, claim=UNSIGNED_FORM, signing_key=b"", counting=counting, settings=settings,
            ask_for_it=ask_for_it, descriptor=descriptor,
        )  # fmt: skip
        boundary = boundary_of(headers.get("content-type", ""))
        if boundary is None:
            raise s3_error(
                "PreconditionFailed",
                Condition="Bucket POST must be of the enclosure-type multipart/form-data",
            )
        size_bytes = self._announced()
        if size_bytes is None:
            raise s3_error("MissingContentLength")
        self._size_bytes = size_bytes
        self._parser = FormParser(boundary)
        self._arriving = super()._payload(None)
        self._waiting: list[bytes] = []
        self._least_bytes = 0
        self._most_bytes = 0

    async def form(self) -> Form:
        """Read up to the file. Raises S3Error, also for a form that has none; SenderGone."""
        async for data in self._arriving:
            self._waiting += self._parser.feed(data)
            if self._parser.file_begun:
                break
        else:
            self._parser.finish()
        return self._parser.form

    def accept(self, headers: Mapping[str, str], policy: PostPolicy | None) -> None:
        """What the fields say of the file, and how long it may be: from now on it counts as the body."""
        self._headers = headers
        most = self._settings.put_bytes_max
        if policy is not None:
            self._least_bytes = policy.least_bytes
            most = most if policy.most_bytes is None else min(most, policy.most_bytes)
        self._most_bytes = most
        # Refused before it has all arrived; what the frames take away from the announced size is bounded.
        if self._size_bytes > most + FIELDS_BYTES_MAX + REST_BYTES_MAX:
            raise self._too_large(self._size_bytes)

    async def into(self, staged: Staged, *, limit_bytes: int) -> Received:
        """The file, verified against the checksums among the fields and the policy's bounds."""
        self._most_bytes = min(self._most_bytes, limit_bytes)
        if self._size_bytes > SHORT_BYTES:
            self._counting.begin_long()
        wanted = asked_checksum(self._headers)
        digests = self._digests(wanted, kept=True)
        await self._absorb(digests, staged, None, size_bytes=self._size_bytes)
        if digests.size_bytes < self._least_bytes:
            raise s3_error(
                "EntityTooSmall", ProposedSize=digests.size_bytes, MinSizeAllowed=self._least_bytes
            )
        return self._compare(digests, wanted, None)

    async def _payload(self, decoder: ChunkDecoder | None) -> AsyncIterator[bytes]:
        """The pieces of the file; the form must come to its end behind it."""
        del decoder
        size_bytes = 0
        for piece in self._waiting:
            size_bytes += len(piece)
            yield piece
        self._waiting = []
        self._check_most(size_bytes)
        async for data in self._arriving:
            for piece in self._parser.feed(data):
                size_bytes += len(piece)
                self._check_most(size_bytes)
                yield piece
        self._parser.finish()

    def _check_most(self, size_bytes: int) -> None:
        if size_bytes > self._most_bytes:
            raise self._too_large(size_bytes)

    def _too_large(self, size_bytes: int) -> S3Error:
        return s3_error("EntityTooLarge", ProposedSize=size_bytes, MaxSizeAllowed=self._most_bytes)
