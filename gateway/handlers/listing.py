"""ListObjects, ListObjectsV2 and ListObjectVersions: one engine call each, three renderings."""

from __future__ import annotations

from gateway.call import Call, Reply, Services
from gateway.errors import invalid_argument
from gateway.handlers.support import bucket_of, xml_reply
from gateway.listing import (
    Page,
    owner_element,
    parse_page,
    read_token,
)
from gateway.listing import list_objects as render_first
from gateway.listing import list_objects_v2 as render_second
from gateway.listing import list_versions as render_versions
from gateway.storage.model import Listing


async def list_objects(services: Services, call: Call) -> Reply:
    """Version 1: goes on after marker."""
    page = _page(services, call)
    marker = call.query.get("marker", "")
    listing = await _listing(services, call, page, marker)
    return xml_reply(render_first(call.bucket_name, page, marker, listing, owner=_owner(call)))


async def list_objects_v2(services: Services, call: Call) -> Reply:
    """Version 2: goes on after the token, which outweighs start-after."""
    page = _page(services, call)
    token = call.query.get("continuation-token")
    start_after = call.query.get("start-after", "")
    if token == "":
        raise invalid_argument("continuation-token", "", "The continuation token provided is incorrect")
    after = read_token(token) if token is not None else start_after
    listing = await _listing(services, call, page, after)
    owner = _owner(call) if call.query.get("fetch-owner", "").lower() == "true" else ""
    body = render_second(call.bucket_name, page, listing, token=token, start_after=start_after, owner=owner)
    return xml_reply(body)


async def list_object_versions(services: Services, call: Call) -> Reply:
    """Versions and delete markers, the newest of a key first; without versions each object is its own 'null'."""
    page = _page(services, call)
    key_marker = call.query.get("key-marker", "")
    version_marker = call.query.get("version-id-marker", "")
    if version_marker and not key_marker:
        raise invalid_argument(
            "version-id-marker",
            version_marker,
            "A version-id marker cannot be specified without a key marker.",
        )
    _check_optional_attributes(call)
    listing = await services.engine.list_versions(
        bucket_of(call).id,
        prefix=page.prefix,
        delimiter=page.delimiter,
        after_key=key_marker,
        after_version_id=version_marker,
        limit=page.limit,
    )
    body = render_versions(
        call.bucket_name,
        page,
        listing,
        key_marker=key_marker,
        version_marker=version_marker,
        owner=_owner(call),
    )
    return xml_reply(body)


def _check_optional_attributes(call: Call) -> None:
    """RestoreStatus may be asked for: nothing is archived here, so nobody has one. Raises InvalidArgument."""
    text = call.headers.get("x-amz-optional-object-attributes", "")
    if any(name.strip() not in ("", "RestoreStatus") for name in text.split(",")):
        raise invalid_argument("x-amz-optional-object-attributes", text, "Invalid attribute name specified.")


def _page(services: Services, call: Call) -> Page:
    return parse_page(call.query, limit_name="max-keys", limit_max=services.settings.list_keys_max)


async def _listing(services: Services, call: Call, page: Page, after: str) -> Listing:
    return await services.engine.list_objects(
        bucket_of(call).id, prefix=page.prefix, delimiter=page.delimiter, after=after, limit=page.limit
    )


def _owner(call: Call) -> str:
    bucket = bucket_of(call)
    return owner_element(bucket.owner, bucket.owner_name)
