"""The doors that browsers come through: pages of websites, preflights, and forms that carry their signature.

Each proves, permits and counts in as gateway/exchange.py does for all other requests, and hands to a handler.
"""

from __future__ import annotations

from gateway.accounting import Tab
from gateway.admission import admit, check_there
from gateway.answer import Answer
from gateway.auth import Authenticator
from gateway.call import Call, NoBody, Reply, Services
from gateway.cap_watch import CapWatch
from gateway.connection import Incoming
from gateway.counting import Counting
from gateway.errors import S3Error, s3_error
from gateway.formbody import FormBody
from gateway.forms import read_form
from gateway.handlers.cors import origin_headers
from gateway.handlers.table import HANDLERS
from gateway.handlers.website import METHODS, Visit
from gateway.limits import Limits
from gateway.metrics import GatewayMetrics
from gateway.moving.holds import Holds
from gateway.operation import Operation
from gateway.request import Request
from gateway.route import Route
from gateway.sigv4.parse import Claim
from gateway.website import bucket_of_host
from meter.ids import NOBODY
from meter.recorder import Recorder


class BrowserDoors:
    """What one worker opens to browsers."""

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
        self.have_websites = bool(self._settings.website_suffix or self._settings.website_domains)
        """Whether any host shows one."""

    def site_of(self, request: Request) -> str:
        """The bucket whose website the request's host shows; empty for none."""
        suffix, domains = self._settings.website_suffix, self._settings.website_domains
        return bucket_of_host(request.headers.get("host", ""), suffix=suffix, domains=domains)

    async def visit(
        self, raw: Incoming, request: Request, site: str, counting: Counting, how: Answer
    ) -> Reply:
        """A page of a bucket's website: its owner pays for what its visitor was let read."""
        tab, services = counting.tab, self._services
        tab.operation = METHODS.get(request.method, Operation.OTHER)
        tab.head_only = request.method == "HEAD"
        if "origin" in request.headers:
            how.origin_headers = await origin_headers(services, site, request.method, request.headers)
        bucket = await services.directory.bucket(site, ask=False)
        if bucket is not None:
            how.throttle = self._limits.of_strangers(bucket.owner)
        visit = Visit(
            services, bucket, request.method, request.raw_path, request.headers, raw.remote,
            tab.request_id.hex(), tab.began_us,
        )  # fmt: skip
        try:
            if bucket is not None:
                await self._caps.admit(bucket.owner, tab.operation, asker=NOBODY)
            reply = await visit.answer()
        except S3Error as error:
            reply = visit.plain_error(error)
        if bucket is not None and visit.was_admitted:
            tab.authorised, tab.payer, tab.bucket = True, bucket.owner, bucket.id
            tab.serves_object = visit.serves_object
        if reply.status >= 400:
            self._metrics.refused(tab, reply.headers["x-amz-error-code"])
        return reply

    async def preflight(self, request: Request, asked: Route, tab: Tab) -> Reply:
        """Anybody may ask what a page may ask; nobody is let in by it, and nobody pays."""
        bucket = await self._services.directory.bucket(asked.bucket, ask=False)
        call = Call(
            asked.operation, tab.request_id.hex(), asked.bucket, asked.key, asked.query, request.headers,
            None, bucket, NoBody(), tab.began_us,
        )  # fmt: skip
        return await HANDLERS[asked.operation](self._services, call)

    async def form(
        self,
        raw: Incoming,
        request: Request,
        asked: Route,
        claim: Claim | None,
        counting: Counting,
        how: Answer,
    ) -> Reply:
        """A browser's form carries its credentials among its fields: they are read before anybody is let in."""
        if claim is not None:
            raise s3_error("InvalidRequest", "A form is signed by its fields, not by its request.")
        tab = counting.tab
        how.body = body = FormBody(
            raw.content, request.headers, counting=counting, settings=self._settings,
            ask_for_it=how.expects_continue(request.headers), descriptor=how.descriptor,
        )  # fmt: skip
        posted = await read_form(
            body,
            self._authenticator,
            asked,
            request.headers,
            self._settings,
            peer=raw.remote,
            now_us=tab.began_us,
        )
        tab.requester = NOBODY if posted.caller is None else posted.caller.member
        if posted.caller is not None:
            how.throttle = self._limits.of_member(posted.caller.member)
        how.resource = f"/{asked.bucket}/{posted.key}"
        bucket = await self._services.directory.bucket(asked.bucket, ask=posted.caller is not None)
        check_there(asked.operation, bucket)
        assert bucket is not None
        if posted.caller is None:
            how.throttle = self._limits.of_strangers(bucket.owner)
        body.throttle = how.throttle
        # No answer but success can tell what was there: a form has no conditions.
        await admit(
            self._services,
            posted.question(asked, request.headers, tab.began_us, self._settings.trusted_proxies),
            bucket,
        )
        bucket = await self._holds.enter(bucket, asked.operation)
        tab.authorised, tab.payer, tab.bucket = True, bucket.owner, bucket.id
        call = Call(
            asked.operation, tab.request_id.hex(), asked.bucket, posted.key, posted.parameters, posted.headers,
            posted.caller, bucket, body, tab.began_us, posted.origin,
        )  # fmt: skip
        try:
            return await HANDLERS[asked.operation](self._services, call)
        finally:
            self._holds.leave(bucket.id, asked.operation)
