"""From a form's fields to who sent it and what it asks for: signature, then policy, then the fields' meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.auth import Authenticator
from gateway.call import Caller, Origin
from gateway.errors import s3_error
from gateway.formbody import FormBody
from gateway.handlers.post import LOCATION
from gateway.markup import url_encode
from gateway.policy.facts import Asked
from gateway.postfields import REDIRECT_FIELDS, STATUS_FIELD, object_headers, object_key
from gateway.postpolicy import check_policy, parse_policy
from gateway.route import Route
from gateway.settings import GatewaySettings
from gateway.sigv4.form import parse_form_claim
from meter.proxies import is_proxy


@dataclass(frozen=True, slots=True)
class Posted:
    """A form that is what its signer allowed, or that nobody signed."""

    key: str
    caller: Caller | None
    """None: nobody signed."""
    headers: dict[str, str]
    """What a PUT of the object would have as headers."""
    parameters: dict[str, str]
    """How the browser wants to be answered."""
    origin: Origin

    def question(self, asked: Route, headers: Mapping[str, str], now_us: int, proxies: str) -> Asked:
        """What its sender needs the right to: to put this object; headers are the request's own."""
        around = {name: value for name, value in headers.items() if not name.startswith("x-amz-")}
        return Asked(
            asked.operation, asked.bucket, self.key, {}, around | self.headers, self.caller, self.origin, now_us,
            proxies,
        )  # fmt: skip


async def read_form(
    body: FormBody, authenticator: Authenticator, asked: Route, headers: Mapping[str, str],
    settings: GatewaySettings, *, peer: str, now_us: int,
) -> Posted:  # fmt: skip
    """Read, prove and check everything before the file; the body then gives the file. Raises S3Error, SenderGone.

    Of the request's own headers only Host is used: nothing that was not among the fields was signed.
    """
    form = await body.form()
    fields = form.fields
    claim = parse_form_claim(fields, region=settings.region)
    caller, policy, origin = None, None, Origin(peer)
    if claim is not None:
        origin = Origin(peer, "POST", claim.requested_at_us)
        caller = (await authenticator.prove_form(claim, fields["policy"], now_us=now_us)).caller
        policy = parse_policy(fields["policy"])
    key = object_key(form)
    if fields.get("bucket", asked.bucket) != asked.bucket:
        raise s3_error("AccessDenied", "The form's field bucket names another bucket than its address.")
    if policy is not None:
        check_policy(policy, {**fields, "key": key}, bucket=asked.bucket, now_us=now_us)
    kept = object_headers(fields)
    body.accept(kept, policy)
    answered = {name: fields[name] for name in (STATUS_FIELD, *REDIRECT_FIELDS) if name in fields}
    return Posted(
        key, caller, kept, answered | {LOCATION: _location(asked, headers, key, settings, peer)}, origin
    )


def _location(
    asked: Route, headers: Mapping[str, str], key: str, settings: GatewaySettings, peer: str
) -> str:
    """The object's address on the host the form was sent to."""
    host = headers.get("host", "")
    bucket_in_host = settings.host_suffix and host.lower().startswith(
        f"{asked.bucket}.{settings.host_suffix}".lower()
    )
    is_forwarded = is_proxy(peer, settings.trusted_proxies)
    scheme = "https" if is_forwarded and headers.get("x-forwarded-proto", "").lower() == "https" else "http"
    path = f"/{url_encode(key)}" if bucket_in_host else f"/{asked.bucket}/{url_encode(key)}"
    return f"{scheme}://{host}{path}" if host.isascii() and host.isprintable() else path
