"""An account at an OpenID Connect provider: where a browser is sent, and whose account a signed token proves. Pure.

Only issuer and subject count. An e-mail address in a token opens nothing, verified or not: addresses change hands, and
the provider's word for one would be its word for any of our members. So members link their account while signed in.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from billing.portal.entry import derived_text, is_safe
from meter.refusal import Refusal

try:
    from joserfc import jws, jwt
    from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
    from joserfc.jwk import JWKRegistry, KeySet

    IS_THERE = True
except ImportError:  # an extra: most co-ops have no such provider
    IS_THERE = False

ALGORITHMS = ("RS256", "ES256")
"""Signatures by a public key alone: with 'none' or a shared secret anybody could sign who knows what is public."""
KINDS = {"RSA": "RS256", "EC": "ES256"}
KEYS_MAX = 50
RSA_BYTES_MIN = 256
SUBJECT_CHARACTERS_MAX = 255
TOKEN_CHARACTERS_MAX = 64 * 1024
SECOND_US = 10**6
STATE, NONCE, VERIFIER = "account state", "account nonce", "account verifier"


class NotThisAccount(Refusal):
    """What came back does not prove whose account it is."""


class UnknownKey(NotThisAccount):
    """The token is by a key that the provider did not have, or not under that name, when it was asked last."""


class ProviderAway(Refusal):
    """The provider does not answer, or not as the standard says."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Where things are at a provider."""

    issuer: str
    authorize_url: str
    token_url: str
    keys_url: str
    takes_header: bool
    """Whether it takes our secret in a header (client_secret_basic); else in the body."""


def read_provider(told: object, *, issuer: str) -> Provider:
    """What a provider says of itself (OpenID Connect Discovery, section 4). Raises ProviderAway."""
    if not isinstance(told, dict) or told.get("issuer") != issuer:
        raise ProviderAway(NOT_ANSWERING)
    urls = [told.get(one) for one in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
    if not all(is_safe(one, issuer=issuer) for one in urls):
        raise ProviderAway(NOT_ANSWERING)
    ways = told.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    if not isinstance(ways, list) or not {"client_secret_basic", "client_secret_post"} & {
        str(one) for one in ways
    }:
        raise ProviderAway(NOT_ANSWERING)
    authorize, token, keys = (str(one) for one in urls)
    return Provider(issuer, authorize, token, keys, takes_header="client_secret_basic" in ways)


def read_keys(keys: object) -> KeySet:
    """The keys that can be used: public ones for signatures, long enough; what is none of that is passed over.

    Raises ProviderAway where there is none.
    """
    listed = keys.get("keys") if isinstance(keys, dict) else None
    if not isinstance(listed, list):
        raise ProviderAway(NOT_ANSWERING)
    found = []
    for one in listed[:KEYS_MAX]:
        if isinstance(one, dict) and one.get("use", "sig") == "sig" and _is_strong(one):
            try:
                key = JWKRegistry.import_key(one)
            except (JoseError, ValueError, TypeError, KeyError):
                continue
            found.append(key)
    if not found:
        raise ProviderAway(NOT_ANSWERING)
    return KeySet(found)


def where_to(provider: Provider, *, client_id: str, back_url: str, token: str) -> str:
    """The URL a browser is sent to: a code is asked for, with state, nonce and PKCE (RFC 7636, S256)."""
    challenge = hashlib.sha256(derived_text(token, VERIFIER).encode("ascii")).digest()
    query = urlencode(
        {
            "response_type": "code", "client_id": client_id, "redirect_uri": back_url, "scope": "openid",
            "state": derived_text(token, STATE), "nonce": derived_text(token, NONCE),
            "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode("ascii"),
            "code_challenge_method": "S256",
        }
    )  # fmt: skip
    return provider.authorize_url + ("&" if urlsplit(provider.authorize_url).query else "?") + query


def is_state(sent: str, *, token: str) -> bool:
    """Whether what came back was begun in this browser."""
    return bool(token) and hmac.compare_digest(
        sent.encode("utf-8", "surrogateescape"), derived_text(token, STATE).encode("ascii")
    )


def proven_subject(
    text: object, keys: KeySet, *, issuer: str, client_id: str, token: str, now_us: int, skew_s: int
) -> str:
    """Whose account an ID token proves (OpenID Connect Core, section 3.1.3.7). Raises NotThisAccount, UnknownKey."""
    if not isinstance(text, str) or len(text) > TOKEN_CHARACTERS_MAX:
        raise NotThisAccount(NOT_ACCEPTED)
    try:
        registry = jws.JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)
        claims = jwt.decode(text, keys, algorithms=list(ALGORITHMS), registry=registry).claims
    except (InvalidKeyIdError, BadSignatureError) as error:
        # A provider with one key need not name it, and has another one day.
        raise UnknownKey(NOT_ACCEPTED) from error
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise NotThisAccount(NOT_ACCEPTED) from error
    return _subject(
        claims, issuer=issuer, client_id=client_id, nonce=derived_text(token, NONCE), now_us=now_us, skew_s=skew_s
    )  # fmt: skip


def _subject(
    claims: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str, now_us: int, skew_s: int
) -> str:
    for_whom = claims.get("aud")
    audience = for_whom if isinstance(for_whom, list) else [for_whom]
    subject, given_nonce = claims.get("sub"), claims.get("nonce")
    earliest_s, latest_s = _seconds(claims, "iat"), _seconds(claims, "exp")
    not_before_s = _seconds(claims, "nbf") if "nbf" in claims else 0
    if (
        claims.get("iss") != issuer
        or client_id not in audience
        or ((len(audience) > 1 or "azp" in claims) and claims.get("azp") != client_id)
        or not isinstance(given_nonce, str)
        or not hmac.compare_digest(given_nonce.encode("utf-8", "surrogatepass"), nonce.encode("ascii"))
        or now_us >= (latest_s + skew_s) * SECOND_US
        or (max(earliest_s, not_before_s) - skew_s) * SECOND_US > now_us
        or not isinstance(subject, str)
        or not 1 <= len(subject) <= SUBJECT_CHARACTERS_MAX
        or not subject.isprintable()
    ):
        raise NotThisAccount(NOT_ACCEPTED)
    return subject


def _seconds(claims: Mapping[str, Any], name: str) -> int:
    """An instant in whole seconds; true and false are no instants, though Python counts with them."""
    told = claims.get(name)
    if not isinstance(told, int) or isinstance(told, bool):
        raise NotThisAccount(NOT_ACCEPTED)
    return told


def _is_strong(key: Mapping[str, Any]) -> bool:
    kind, size = key.get("kty"), str(key.get("n", ""))
    if not isinstance(kind, str) or kind not in KINDS or key.get("alg", KINDS[kind]) != KINDS[kind]:
        return False
    return key.get("crv") == "P-256" if kind == "EC" else len(size) * 3 >= RSA_BYTES_MIN * 4


NOT_ACCEPTED = "this account was not accepted; try again, or ask for a one-time link"
NOT_ANSWERING = (
    "the other site does not answer as it should; try again in a minute, or ask for a one-time link"
)
