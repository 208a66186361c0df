"""ListBuckets."""

from __future__ import annotations

from gateway.call import Call, Reply, Services
from gateway.errors import invalid_argument
from gateway.handlers.support import caller_of, xml_reply
from gateway.listing import make_token, parse_count, read_token
from gateway.results import list_buckets as render

BUCKETS_PAGE_MAX = 10_000
"""S3's own page size."""


async def list_buckets(services: Services, call: Call) -> Reply:
    """The caller's own buckets, by name; prefix, max-buckets and continuation-token narrow them."""
    caller = caller_of(call)
    limit = parse_count(call.query, "max-buckets", BUCKETS_PAGE_MAX)
    if limit == 0:
        raise invalid_argument("max-buckets", "0", "max-buckets must be at least 1")
    prefix = call.query.get("prefix", "")
    token = call.query.get("continuation-token")
    after = read_token(token) if token else ""
    names = [
        bucket
        for bucket in await services.directory.buckets_of(caller.member)
        if bucket.name.startswith(prefix)
        and bucket.name > after
        and (caller.scope is None or caller.scope.shows(bucket.name))
    ]
    page = names[:limit]
    body = render(
        page,
        member=caller.member,
        member_name=caller.member_name,
        region=services.settings.region,
        prefix=prefix,
        token=make_token(page[-1].name) if len(names) > limit else "",
    )
    return xml_reply(body)
