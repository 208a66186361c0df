"""The gateway's spine: one exchange, from the request's head to the event in the journal.

route        request → Operation                 what is asked for, by name
auth         claim + secret → Proof              who asks
access       may this caller do this here?       deny by default
handlers     Call → Reply                        what S3 says
answer       Reply → socket                      what really moved
counting     exchange → Event                    recorded before the exchange ends
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from typing import NamedTuple

from gateway.access import demand
from gateway.accounting import CLIENT_LEFT, Tab
from gateway.answer import Answer, answer, error_reply
from gateway.auth import Authenticator
from gateway.body import Body, SenderGone
from gateway.call import Bucket, Call, Caller, Reply, Services
from gateway.connection import Incoming
from gateway.counting import Counting
from gateway.errors import S3Error, not_supported, s3_error
from gateway.handlers.table import HANDLERS
from gateway.metrics import GatewayMetrics
from gateway.operation import Level, Operation
from gateway.route import Route, parse_query, route, split_target
from gateway.sigv4.hoisted import hoisted_headers
from gateway.sigv4.parse import Claim, join_headers, parse_claim
from meter.ids import NO_BUCKET
from meter.ongoing import TooManyExchanges
from meter.recorder import Recorder, now_us

log = logging.getLogger(__name__)
_LIST_BUCKETS = Operation.LIST_BUCKETS
WELCOME = (
    "This is a Weir gateway: an S3 endpoint of a member-owned co-op.\n"
    "Point an S3 client at this address with the access key your co-op gave you;\n"
    "to read your usage and statements, open your co-op's portal instead.\n"
)


class Request(NamedTuple):
    """The head of a request, read once."""

    method: str
    raw_path: str
    raw_query: str
    headers: dict[str, str]
    """As they arrived: lower-case names; repeated ones joined by ','."""
    effective: Mapping[str, str]
    """With those a presigned URL carries in its query; a real header wins."""


class Exchanges:
    """Runs exchanges for one worker."""

    def __init__(
        self, services: Services, authenticator: Authenticator, recorder: Recorder, metrics: GatewayMetrics
    ) -> None:
        self._services = services
        self._authenticator = authenticator
        self._recorder = recorder
        self._metrics = metrics
        self._settings = services.settings
        self._id_prefix = os.urandom(8)
        self._requests = 0

    async def handle(self, raw: Incoming) -> bool:
        """One request, to its end; whether the connection goes on. The answer has been sent by then."""
        started = time.perf_counter()
        counting = Counting(Tab(self._next_request_id(), now_us()), self._recorder, now_us)
        how = Answer(raw, counting, self._settings)
        try:
            reply = await self._reply(raw, counting, how)
        except SenderGone:
            counting.end(status=CLIENT_LEFT, moved_out=0, aborted=True)
            self._metrics.ended(counting.tab, CLIENT_LEFT, counting)
            return how.cut()
        except asyncio.CancelledError:
            counting.end(status=CLIENT_LEFT, moved_out=0, aborted=True)
            raise
        self._metrics.first_byte(counting.tab, started)
        goes_on, status = await answer(reply, counting, how)
        self._metrics.ended(counting.tab, status, counting)
        return goes_on

    def _next_request_id(self) -> bytes:
        """16 bytes, unique: a random half for this process, and a count."""
        self._requests += 1
        return self._id_prefix + self._requests.to_bytes(8, "big")

    async def _reply(self, raw: Incoming, counting: Counting, how: Answer) -> Reply:
        """The handler's reply, or the error's. Raises SenderGone."""
        try:
            request = read_head(raw)
            how.resource = request.raw_path
            asked = route(
                request.method, request.raw_path, request.raw_query, request.effective,
                host_suffix=self._settings.host_suffix,
            )  # fmt: skip
            how.resource = f"/{asked.bucket}/{asked.key}" if asked.bucket else "/"
            counting.tab.operation = asked.operation
            counting.tab.head_only = request.method == "HEAD"
            if not self._recorder.has_room:
                raise s3_error("SlowDown")
            claim = parse_claim(request.raw_query, request.headers, region=self._settings.region)
            if claim is None and is_browser_at_the_door(asked.operation, request.headers):
                return Reply(headers={"Content-Type": "text/plain; charset=utf-8"}, body=WELCOME.encode())
            return await self._admitted(raw, request, asked, claim, counting, how)
        except S3Error as error:
            self._metrics.refused(counting.tab, error.code)
            return error_reply(error, how.resource, counting.tab.request_id.hex())
        except TooManyExchanges:
            return error_reply(s3_error("SlowDown"), how.resource, counting.tab.request_id.hex())
        except (SenderGone, asyncio.CancelledError):
            raise
        except Exception:  # the edge: a bug of ours becomes a 500 that names its request, and a log line
            log.exception("unexpected: request=%s", counting.tab.request_id.hex())
            return error_reply(s3_error("InternalError"), how.resource, counting.tab.request_id.hex())

    async def _admitted(
        self,
        raw: Incoming,
        request: Request,
        asked: Route,
        claim: Claim | None,
        counting: Counting,
        how: Answer,
    ) -> Reply:
        """Prove, permit, count in, and hand to the operation's handler."""
        if claim is None:
            raise s3_error("AccessDenied")
        proof = await self._authenticator.prove(
            claim, request.method, request.raw_path, request.raw_query, request.headers,
            now_us=counting.tab.began_us,
        )  # fmt: skip
        tab, caller = counting.tab, proof.caller
        tab.requester = caller.member
        bucket = await self._services.directory.bucket(asked.bucket) if asked.bucket else None
        permit(asked.operation, caller, bucket)
        tab.authorised = True
        tab.payer = caller.member if bucket is None else bucket.owner
        tab.bucket = NO_BUCKET if bucket is None else bucket.id
        headers = request.effective
        how.body = Body(
            raw.content, headers, claim=claim, signing_key=proof.signing_key, counting=counting,
            settings=self._settings, ask_for_it=how.expects_continue(request.headers), descriptor=how.descriptor,
        )  # fmt: skip
        call = Call(
            asked.operation, tab.request_id.hex(), asked.bucket, asked.key, asked.query, headers,
            caller, bucket, how.body, tab.began_us,
        )  # fmt: skip
        return await HANDLERS[asked.operation](self._services, call)


def permit(operation: Operation, caller: Caller, bucket: Bucket | None) -> None:
    """Whether this may be asked at all, of something that is there, by this caller. Raises S3Error."""
    if not operation.supported:
        raise not_supported(operation)
    if bucket is None and operation.level is not Level.SERVICE and operation is not Operation.CREATE_BUCKET:
        raise s3_error("NoSuchBucket")
    demand(operation, caller=caller, bucket=bucket)


def read_head(raw: Incoming) -> Request:
    """Method, raw target and headers. Raises S3Error for a target or headers with two meanings."""
    path, query = split_target(raw.raw_path)
    headers = join_headers(raw.headers.items())
    effective = hoisted_headers(parse_query(query)) | headers if "X-Amz-Signature" in query else headers
    return Request(raw.method, path, query, headers, effective)


def is_browser_at_the_door(operation: Operation, headers: dict[str, str]) -> bool:
    """Somebody opened the endpoint in a browser: they deserve a sentence, not XML."""
    return operation is _LIST_BUCKETS and "text/html" in headers.get("accept", "")
