"""Connections of a worker: aiohttp's, with our answer to what is not HTTP and with our way of logging it.

It knows no S3 operation. A request that cannot be read names nobody, so nothing of it is billed or kept.
"""

from __future__ import annotations

import logging

from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.web import BaseRequest, Response, Server, StreamResponse
from aiohttp.web_protocol import RequestHandler

from gateway.errors import render_error, s3_error

log = logging.getLogger(__name__)


class Connection(RequestHandler):
    """One client's connection."""

    __slots__ = ()

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> StreamResponse:  # fmt: skip
        """The answer to a request that is no HTTP. Raises ConnectionError where none can be given."""
        del message
        if status < 500 and isinstance(exc, HttpProcessingError):
            # Only its kind: the parser's message quotes the line, and with it a signature or a link.
            log.info("not HTTP: %s", type(exc).__name__)
            return _refusal(exc)
        # A part of an answer may have left already on a way aiohttp does not see.
        log.error("an exchange failed outside its own edge", exc_info=exc)
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionError("the connection was cut")


class ConnectionServer(Server):
    """Makes them."""

    def __call__(self) -> Connection:
        """For the next client."""
        return Connection(self, loop=self._loop, **self._kwargs)


def _refusal(error: HttpProcessingError) -> Response:
    code = "RequestHeaderSectionTooLarge" if isinstance(error, LineTooLong) else "BadRequest"
    refusal = s3_error(code)
    body = render_error(refusal, resource="", request_id="")
    response = Response(
        status=refusal.status, body=body, content_type="application/xml", headers={"Server": "Weir"}
    )
    response.force_close()
    return response
