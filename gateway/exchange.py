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

from gateway.access import is_unbound_owner
from gateway.accounting import CLIENT_LEFT, Tab
from gateway.admission import admit, check_there, concealed
from gateway.answer import Answer, answer, error_reply
from gateway.auth import Authenticator
from gateway.body import Body, SenderGone
from gateway.browsers import BrowserDoors
from gateway.call import Bucket, Call, Origin, Reply, Services
from gateway.cap_watch import CapWatch
from gateway.connection import Incoming
from gateway.counting import Checkpoints, Counting, CutOff
from gateway.errors import S3Error, s3_error
from gateway.handlers.cors import origin_headers
from gateway.handlers.table import HANDLERS
from gateway.limits import Limits
from gateway.metrics import GatewayMetrics
from gateway.moving.holds import Holds
from gateway.operation import Operation
from gateway.policy.facts import Asked
from gateway.request import Request, read_head
from gateway.route import Route, is_readiness, route
from gateway.sigv4.parse import Claim, parse_claim
from gateway.sigv4.unsigned import unsigned_claim
from gateway.turned import Eviction, Turned
from gateway.wire import PeerVanished
from gateway.zones import Zones
from meter.event import Zone
from meter.ids import NO_BUCKET
from meter.ongoing import TooManyExchanges
from meter.recorder import Recorder, now_us
from meter.window import MICROSECONDS

log = logging.getLogger(__name__)
READING = frozenset(("GET", "HEAD", "OPTIONS"))
"""Methods that change nothing of a bucket."""
PREFLIGHTS = frozenset((Operation.PREFLIGHT_BUCKET, Operation.PREFLIGHT_OBJECT))
_LIST_BUCKETS, _CREATE_BUCKET = Operation.LIST_BUCKETS, Operation.CREATE_BUCKET
_POST_OBJECT = Operation.POST_OBJECT
WELCOME = (
    "This is a Weir gateway: an S3 endpoint of a member-owned co-op.\n"
    "Point an S3 client at this address with the access key your co-op gave you;\n"
    "to read your usage and statements, open your co-op's portal instead.\n"
)


class Exchanges:
    """Runs exchanges for one worker."""

    def __init__(
        self, services: Services, authenticator: Authenticator, recorder: Recorder, metrics: GatewayMetrics,
        caps: CapWatch, holds: Holds, limits: Limits,
    ) -> None:  # fmt: skip
        self._services = services
        self._authenticator = authenticator
        self._recorder = recorder
        self._metrics = metrics
        self._caps = caps
        self._holds = holds
        self._limits = limits
        self._settings = services.settings
        self._id_prefix = os.urandom(8)
        self._requests = 0
        self._checkpoints = Checkpoints(
            self._settings.checkpoint_bytes,
            self._settings.checkpoint_interval_s * MICROSECONDS,
            caps.at_checkpoint,
        )
        self._zones = Zones(
            own=self._settings.zones_own, peering=self._settings.zones_peering,
            proxies=self._settings.trusted_proxies,
        )  # fmt: skip
        self._browsers = BrowserDoors(services, authenticator, recorder, metrics, caps, holds, limits)

    async def handle(self, raw: Incoming) -> bool:
        """One request, to its end; whether the connection goes on. The answer has been sent by then."""
        started = time.perf_counter()
        counting = Counting(Tab(self._next_request_id(), now_us()), self._recorder, now_us, self._checkpoints)
        if self._zones.are_named:
            counting.tab.zone = self._zone_of(raw)
        how = Answer(raw, counting, self._settings)
        try:
            reply = await self._reply(raw, counting, how)
        except (SenderGone, CutOff) as gone:
            counting.end(status=CLIENT_LEFT, moved_out=0, aborted=True)
            how.settle()
            self._metrics.ended(counting.tab, CLIENT_LEFT, counting)
            if isinstance(gone.__cause__, PeerVanished):
                self._metrics.vanished(counting.tab)
            return how.cut()
        except asyncio.CancelledError:
            counting.end(status=CLIENT_LEFT, moved_out=0, aborted=True)
            raise
        if how.origin_headers:
            reply.headers |= how.origin_headers
        if how.is_excess:
            return (await answer(reply, counting, how))[0]
        self._metrics.first_byte(counting.tab, started)
        goes_on, status = await answer(reply, counting, how)
        if how.throttle is not None:
            how.settle()
        if how.is_slow:
            self._metrics.evicted(Eviction.RECEIVER)
        self._metrics.ended(counting.tab, status, counting)
        return goes_on

    def _zone_of(self, raw: Incoming) -> Zone:
        """Where the bytes of the exchange come from and go to."""
        zone = self._zones.of_peer(raw.remote)
        if zone is None:
            forwarded = ",".join(raw.headers.getall("X-Forwarded-For", ()))
            zone = self._zones.of_forwarded(raw.remote, forwarded)
        return zone

    def _next_request_id(self) -> bytes:
        """16 bytes, unique: a random half for this process, and a count."""
        self._requests += 1
        return self._id_prefix + self._requests.to_bytes(8, "big")

    async def _reply(self, raw: Incoming, counting: Counting, how: Answer) -> Reply:
        """The handler's reply, or the error's. Raises SenderGone."""
        try:
            if not self._recorder.has_room:
                counting.is_left_out = True
                raise s3_error("SlowDown")
            self._limits.let_in(raw)
            request = read_head(raw)
            how.resource = request.raw_path
            if self._browsers.have_websites and (site := self._browsers.site_of(request)):
                return await self._browsers.visit(raw, request, site, counting, how)
            if is_readiness(request.raw_path, request.effective, host_suffix=self._settings.host_suffix):
                counting.is_left_out, counting.tab.head_only = True, request.method == "HEAD"
                return readiness(is_leaving=raw.is_leaving)
            asked = route(
                request.method, request.raw_path, request.raw_query, request.effective,
                host_suffix=self._settings.host_suffix,
            )  # fmt: skip
            how.resource = f"/{asked.bucket}/{asked.key}" if asked.bucket else "/"
            counting.tab.operation = asked.operation
            counting.tab.head_only = request.method == "HEAD"
            if "origin" in request.headers:
                how.origin_headers = await origin_headers(
                    self._services, asked.bucket, request.method, request.headers
                )
            if asked.operation in PREFLIGHTS:
                return await self._browsers.preflight(request, asked, counting.tab)
            claim = parse_claim(
                request.raw_query, request.headers, region=self._settings.region,
                locations=self._services.directory.engines_at,
            )  # fmt: skip
            if asked.operation is _POST_OBJECT:
                return await self._browsers.form(raw, request, asked, claim, counting, how)
            if claim is None and is_browser_at_the_door(asked.operation, request.headers):
                return Reply(headers={"Content-Type": "text/plain; charset=utf-8"}, body=WELCOME.encode())
            return await self._admitted(raw, request, asked, claim, counting, how)
        except Turned as turned:
            counting.is_left_out, how.is_excess = True, turned.reason.is_excess
            self._limits.turned_away(turned.reason)
            return error_reply(turned, how.resource, counting.tab.request_id.hex())
        except S3Error as error:
            self._metrics.refused(counting.tab, error.code)
            return error_reply(error, how.resource, counting.tab.request_id.hex())
        except TooManyExchanges:
            return error_reply(s3_error("SlowDown"), how.resource, counting.tab.request_id.hex())
        except (SenderGone, CutOff, asyncio.CancelledError):
            raise
        except Exception:  # the edge: a bug of ours becomes a 500 that names its request, and a log line
            log.exception("unexpected: request=%s", counting.tab.request_id.hex())
            return error_reply(s3_error("InternalError"), how.resource, counting.tab.request_id.hex())

    async def _admitted(
        self, raw: Incoming, request: Request, asked: Route, claim: Claim | None, counting: Counting,
        how: Answer,
    ) -> Reply:  # fmt: skip
        """Prove, permit, count in, and hand to the operation's handler."""
        tab, services = counting.tab, self._services
        if claim is None:
            caller, signing_key, origin = None, b"", Origin(raw.remote)
        else:
            proof = await self._authenticator.prove(
                claim, request.method, request.raw_path, request.raw_query, request.headers,
                now_us=tab.began_us,
            )  # fmt: skip
            caller, signing_key = proof.caller, proof.signing_key
            tab.requester = caller.member
            how.throttle = self._limits.of_member(caller.member)
            origin = Origin(
                raw.remote,
                "REST-HEADER" if claim.expires_s is None else "REST-QUERY-STRING",
                claim.requested_at_us,
            )
        # A bucket that is to be made is nobody's yet, and if it is somebody's, they do not pay for the asking.
        named = asked.bucket if asked.operation is not _CREATE_BUCKET else ""
        bucket: Bucket | None = None
        if named:
            # Nearly every bucket is known, and then there is nothing to wait for.
            known = services.directory.known_bucket(named)
            bucket = known or await services.directory.bucket(named, ask=claim is not None)
        if claim is None and bucket is not None:
            how.throttle = self._limits.of_strangers(bucket.owner)
        check_there(asked.operation, bucket)
        question: Asked | None = None
        if not is_unbound_owner(caller, bucket):
            question = Asked(
                asked.operation, asked.bucket, asked.key, asked.query, request.effective, caller, origin,
                tab.began_us, self._settings.trusted_proxies,
            )  # fmt: skip
            await admit(services, question, bucket)
        tab.payer = bucket.owner if bucket is not None else tab.requester
        if tab.payer in self._caps.capped:
            await self._caps.admit(tab.payer, asked.operation, asker=tab.requester)
        incoming = Body(
            raw.content, request.effective, claim=claim or unsigned_claim(request.effective),
            signing_key=signing_key, counting=counting, settings=self._settings,
            ask_for_it=how.expects_continue(request.headers), descriptor=how.descriptor, incoming=raw,
            throttle=how.throttle,
        )  # fmt: skip
        call = Call(
            asked.operation, tab.request_id.hex(), asked.bucket, asked.key, asked.query, request.effective,
            caller, bucket, incoming, tab.began_us, origin,
        )  # fmt: skip
        how.body = incoming
        if bucket is None or request.method in READING:
            return await self._handled(call, tab, question)
        # While the bucket changes its engine a write waits here, before its body is read.
        bucket = await self._holds.enter(bucket, asked.operation)
        try:
            return await self._handled(call._replace(bucket=bucket), tab, question)
        finally:
            self._holds.leave(bucket.id, asked.operation)

    async def _handled(self, call: Call, tab: Tab, question: Asked | None) -> Reply:
        """The answer of the operation's handler."""
        tab.authorised, tab.bucket = True, NO_BUCKET if call.bucket is None else call.bucket.id
        try:
            return await HANDLERS[call.operation](self._services, call)
        except S3Error as error:
            if question is None:
                raise
            raise concealed(error, question, call.bucket) from error


def readiness(*, is_leaving: bool) -> Reply:
    """What a load balancer is told. It stands in no journal: nobody pays for it."""
    status, word = (503, b"leaving\n") if is_leaving else (200, b"ready\n")
    return Reply(status, {"Content-Type": "text/plain", "Cache-Control": "no-store"}, word)


def is_browser_at_the_door(operation: Operation, headers: dict[str, str]) -> bool:
    """Somebody opened the endpoint in a browser: they deserve a sentence, not XML."""
    return operation is _LIST_BUCKETS and "text/html" in headers.get("accept", "")
