"""Passkeys as WebAuthn has them: what a browser is asked for, and whether what it sends is what was asked. Pure.

A user must have been verified by the device, by a fingerprint or its PIN; attestation is not asked for, because whose
make a device is is nobody's business here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from webauthn import (
    base64url_to_bytes,
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import parse_attestation_object, parse_client_data_json
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    AttestationFormat,
    AuthenticatorSelectionCriteria,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from billing.register.particulars import unseen
from meter.ids import MemberId
from meter.refusal import Refusal

NAME_CHARACTERS_MAX = 60
CREDENTIAL_CHARACTERS_MAX = 8192
CREDENTIAL_ID_BYTES_MAX = 1023
"""WebAuthn, section 4."""
PUBLIC_KEY_BYTES_MAX = 2048
ALGORITHMS = [
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]
FORMATS = frozenset({AttestationFormat.NONE, AttestationFormat.PACKED})
"""A browser that was asked for no attestation may still leave a device's own signature (packed); nothing else is read."""


class NotThisPasskey(Refusal):
    """What the browser sent is not what was asked for."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where passkeys hold: the portal's host name, and its origin."""

    host: str
    origin: str


@dataclass(frozen=True, slots=True)
class NewPasskey:
    """A passkey as it is registered."""

    credential: bytes
    public_key: bytes
    counter: int
    is_synced: bool


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey as its member sees it."""

    number: int
    name: str
    is_synced: bool
    created_us: int
    seen_us: int | None


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose passkey an answer claims to be of."""

    number: int
    member: MemberId
    handle: bytes
    public_key: bytes
    name: str


def place_of(portal_url: str) -> Place | None:
    """Where passkeys hold; None where browsers have none: without TLS (but on localhost), and at a bare address."""
    parts = urlsplit(portal_url)
    host = parts.hostname or ""
    if not host or (parts.scheme != "https" and not (parts.scheme == "http" and host == "localhost")):
        return None
    try:
        ip_address(host)
    except ValueError:
        return Place(host, f"{parts.scheme}://{parts.netloc}".lower())
    return None


def read_name(typed: object) -> str:
    """What a member calls a passkey. Raises Refusal."""
    text = " ".join(typed.split()) if isinstance(typed, str) else ""
    if not 1 <= len(text) <= NAME_CHARACTERS_MAX or unseen(text, joins=True):
        raise Refusal(
            f"name: say on which device it is, in one line of at most {NAME_CHARACTERS_MAX} characters"
        )
    return text


def wanted_new(
    place: Place, *, challenge: bytes, handle: bytes, name: str, known: Sequence[bytes], minutes: int
) -> str:
    """What `navigator.credentials.create` is to be asked for, as JSON."""
    options = generate_registration_options(
        rp_id=place.host, rp_name="Weir", user_name=name, user_id=handle, challenge=challenge,
        timeout=minutes * 60_000, attestation=AttestationConveyancePreference.NONE,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=one) for one in known],
        supported_pub_key_algs=ALGORITHMS,
    )  # fmt: skip
    return options_to_json(options)


def wanted_old(place: Place, *, challenge: bytes, minutes: int) -> str:
    """What `navigator.credentials.get` is to be asked for, as JSON: any passkey of this place, whoever's."""
    options = generate_authentication_options(
        rp_id=place.host, challenge=challenge, timeout=minutes * 60_000,
        user_verification=UserVerificationRequirement.REQUIRED,
    )  # fmt: skip
    return options_to_json(options)


def read_new(place: Place, text: str, *, challenge: bytes) -> NewPasskey:
    """What a browser made. Raises NotThisPasskey."""
    sent = _read(text)
    try:
        response = sent["response"]
        _must_be_ours(response)
        if parse_attestation_object(base64url_to_bytes(response["attestationObject"])).fmt not in FORMATS:
            raise NotThisPasskey(NOT_ACCEPTED)
        made = verify_registration_response(
            credential=sent, expected_challenge=challenge, expected_rp_id=place.host,
            expected_origin=place.origin, require_user_verification=True, supported_pub_key_algs=ALGORITHMS,
        )  # fmt: skip
    except NotThisPasskey:
        raise
    except Exception as error:
        raise NotThisPasskey(NOT_ACCEPTED) from error
    if (
        len(made.credential_id) > CREDENTIAL_ID_BYTES_MAX
        or len(made.credential_public_key) > PUBLIC_KEY_BYTES_MAX
    ):
        raise NotThisPasskey(NOT_ACCEPTED)
    return NewPasskey(
        made.credential_id, made.credential_public_key, made.sign_count,
        is_synced=made.credential_device_type is CredentialDeviceType.MULTI_DEVICE,
    )  # fmt: skip


def claimed(text: str) -> bytes:
    """The id of the passkey that an answer claims to be of. Raises NotThisPasskey."""
    try:
        return base64url_to_bytes(str(_read(text)["rawId"]))[:CREDENTIAL_ID_BYTES_MAX]
    except (KeyError, ValueError) as error:
        raise NotThisPasskey(NOT_ACCEPTED) from error


def read_old(place: Place, text: str, holder: Holder, *, challenge: bytes) -> int:
    """The device's counter, once the answer is proven to be the holder's. Raises NotThisPasskey.

    The counter is not compared here: two answers at once must not both pass, so the database compares.
    """
    sent = _read(text)
    try:
        response = sent["response"]
        _must_be_ours(response)
        # Asked for without a name, a device says whose passkey it is; that must be whose we know it to be.
        if base64url_to_bytes(response["userHandle"]) != holder.handle:
            raise NotThisPasskey(NOT_ACCEPTED)
        proven = verify_authentication_response(
            credential=sent, expected_challenge=challenge, expected_rp_id=place.host,
            expected_origin=place.origin, credential_public_key=holder.public_key,
            credential_current_sign_count=0, require_user_verification=True,
        )  # fmt: skip
    except NotThisPasskey:
        raise
    except Exception as error:
        raise NotThisPasskey(NOT_ACCEPTED) from error
    return proven.new_sign_count


NOT_ACCEPTED = "this passkey was not accepted; try again, or ask for a one-time link"


def _read(text: str) -> dict[str, Any]:
    if len(text) > CREDENTIAL_CHARACTERS_MAX:
        raise NotThisPasskey(NOT_ACCEPTED)
    try:
        sent = json.loads(text)
    except (ValueError, RecursionError):
        raise NotThisPasskey(NOT_ACCEPTED) from None
    if not isinstance(sent, dict):
        raise NotThisPasskey(NOT_ACCEPTED)
    return sent


def _must_be_ours(response: dict[str, Any]) -> None:
    """Not made inside a frame of another site; the library leaves that to us."""
    if parse_client_data_json(base64url_to_bytes(response["clientDataJSON"])).cross_origin:
        raise NotThisPasskey(NOT_ACCEPTED)
