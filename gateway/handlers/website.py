"""A bucket's website: its configuration, and its pages for visitors who sign nothing.

A visitor reads what anybody may read; each page goes through the same rights and the same handler as a GetObject.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.admission import admit
from gateway.call import Bucket, Call, NoBody, Origin, Reply, Services, Subject
from gateway.errors import S3Error, s3_error
from gateway.handlers import object  # noqa: A004
from gateway.handlers.failure import translate
from gateway.handlers.support import bucket_of, xml_reply
from gateway.headers import REDIRECT_HEADER
from gateway.markup import url_encode
from gateway.names import check_key, percent_decode
from gateway.operation import Operation
from gateway.policy.facts import Asked
from gateway.storage.errors import StorageError
from gateway.website import (
    Redirect,
    Website,
    error_page,
    parse_website,
    path_of,
    stored_website,
    website_document,
)
from meter.usage import MemberStatus

METHODS = {"GET": Operation.GET_OBJECT, "HEAD": Operation.HEAD_OBJECT}
_OF_A_READ = frozenset(
    ("range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since")
)


async def put_bucket_website(services: Services, call: Call) -> Reply:
    """Keep the configuration in our own words."""
    site = parse_website(await call.body.document(services.settings.document_bytes_max))
    await services.directory.set_document(
        bucket_of(call), Subject.WEBSITE, website_document(site).decode(), now_us=call.now_us
    )
    return Reply()


async def get_bucket_website(services: Services, call: Call) -> Reply:
    """The configuration as it is obeyed."""
    del services
    return xml_reply(_configuration(bucket_of(call)).encode())


async def delete_bucket_website(services: Services, call: Call) -> Reply:
    """The bucket is no website any more."""
    await services.directory.set_document(bucket_of(call), Subject.WEBSITE, None, now_us=call.now_us)
    return Reply(status=204)


@dataclass(slots=True)
class Visit:
    """One request to a website's host. Start it with answer()."""

    services: Services
    bucket: Bucket | None
    method: str
    raw_path: str
    headers: Mapping[str, str]
    """The request's; lower-case names."""
    peer: str
    request_id: str
    now_us: int
    was_admitted: bool = False
    """Whether the bucket let its visitor read something: then it is its owner's to pay."""
    serves_object: bool = False
    """Whether a failure was answered with the site's own page for it."""

    async def answer(self) -> Reply:
        """A page, a redirect, or an error as a page."""
        try:
            return await self._answer()
        except S3Error as error:
            return self.plain_error(error)

    async def _answer(self) -> Reply:
        if self.bucket is None:
            raise s3_error("NoSuchBucket")
        if self.bucket.owner_status is not MemberStatus.ACTIVE:
            raise s3_error("AllAccessDisabled")
        if self.method not in METHODS:
            raise s3_error("MethodNotAllowed", headers={"Allow": "GET, HEAD"})
        key = percent_decode(self.raw_path.removeprefix("/"))
        check_key(key)
        site = stored_website(_configuration(self.bucket))
        if site.everything_to is not None:
            return self._elsewhere(site.everything_to, key, "")
        rule = site.rule(key, None)
        if rule is not None:
            return self._elsewhere(rule.redirect, key, rule.prefix)
        try:
            return await self._page(site.page(key))
        except S3Error as error:
            return await self._failed(site, key, error)

    async def _page(self, key: str, *, with_conditions: bool = True) -> Reply:
        """The object, if anybody may read it. Raises AccessDenied, NoSuchKey, …"""
        call = self._call(key, with_conditions=with_conditions)
        try:
            await self._admit(call)
            handler = object.get_object if self.method == "GET" else object.head_object
            reply = await handler(self.services, call)
        except StorageError as error:
            raise translate(error, call) from error
        onward = reply.headers.pop(REDIRECT_HEADER, "")
        if onward and reply.status < 300:
            if reply.reader is not None:
                reply.reader.close()
            return Reply(301, {"Location": url_encode_location(onward)})
        return reply

    async def _failed(self, site: Website, key: str, error: S3Error) -> Reply:
        """A folder without its slash, a rule for this failure, the site's own page for errors, or ours."""
        if (
            error.status == 404
            and key
            and not key.endswith("/")
            and await self._is_readable(site.page(f"{key}/"))
        ):
            return Reply(302, {"Location": path_of(f"{key}/")})
        rule = site.rule(key, error.status)
        if rule is not None:
            return self._elsewhere(rule.redirect, key, rule.prefix)
        if not site.error_key or not 400 <= error.status < 500:
            raise error
        try:
            reply = await self._page(site.error_key, with_conditions=False)
        except S3Error:
            raise error from None  # the page for errors is not there or not for everybody: then ours
        if reply.status == 200:
            reply.status, self.serves_object = error.status, True
            reply.headers |= _told(error)
        return reply

    async def _admit(self, call: Call) -> None:
        """Whether anybody may read it; who may not, learns whether it is there, as on S3's websites."""
        assert self.bucket is not None
        asked = Asked(
            Operation.GET_OBJECT, call.bucket_name, call.key, {}, self.headers, None, call.origin, self.now_us,
            self.services.settings.trusted_proxies,
        )  # fmt: skip
        try:
            await admit(self.services, asked, self.bucket)
        except S3Error as error:
            if error.code == "AccessDenied":
                await self.services.engine.head_object(self.bucket.id, call.key)
            raise
        self.was_admitted = True

    async def _is_readable(self, key: str) -> bool:
        call = self._call(key, with_conditions=False)
        try:
            await self._admit(call)
            await self.services.engine.head_object(bucket_of(call).id, key)
        except (S3Error, StorageError):
            return False
        return True

    def _call(self, key: str, *, with_conditions: bool) -> Call:
        assert self.bucket is not None
        wanted = _OF_A_READ if with_conditions else ()
        return Call(
            METHODS[self.method], self.request_id, self.bucket.name, key, {},
            {name: self.headers[name] for name in wanted if name in self.headers}, None, self.bucket, NoBody(),
            self.now_us, Origin(self.peer),
        )  # fmt: skip

    def _elsewhere(self, to: Redirect, key: str, prefix: str) -> Reply:
        return Reply(to.status, {"Location": to.location(key, prefix, self.headers.get("host", ""))})

    def plain_error(self, error: S3Error) -> Reply:
        """The error as a page of ours."""
        headers = {"Content-Type": "text/html; charset=utf-8"} | error.headers | _told(error)
        return Reply(error.status, headers, error_page(error, request_id=self.request_id))


def url_encode_location(onward: str) -> str:
    """An object's own redirect: '/path' or an address; only what no header line can hold is encoded."""
    return "".join(one if "\x21" <= one <= "\x7e" else url_encode(one) for one in onward)


def _told(error: S3Error) -> dict[str, str]:
    """The code for programs: the page is for people."""
    return {"x-amz-error-code": error.code, "x-amz-error-message": error.message}


def _configuration(bucket: Bucket) -> str:
    text = bucket.documents.get(Subject.WEBSITE)
    if text is None:
        raise s3_error("NoSuchWebsiteConfiguration", BucketName=bucket.name)
    return text
