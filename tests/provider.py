"""An OpenID Connect provider for tests, on a socket, by the words of the standards: it can be told to lie in every way.

It signs by `cryptography` alone, so nothing of what is tested is on its side.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlencode

from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

CLIENT, SECRET = "weir:portal", "a secret/with+signs"
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def text(raw: bytes) -> str:
    """Base64url without its padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(value: int) -> str:
    """A number as keys have it."""
    return text(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def rsa_signed(header: dict[str, Any], claims: dict[str, Any], key: rsa.RSAPrivateKey = RSA_KEY) -> str:
    """A token by RS256, RFC 7518 section 3.3."""
    signing = _signing(header, claims)
    return f"{signing}.{text(key.sign(signing.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def ec_signed(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """A token by ES256: r and s side by side, section 3.4."""
    signing = _signing(header, claims)
    r, s = decode_dss_signature(EC_KEY.sign(signing.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signing}.{text(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def mac_signed(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    """A token by HS256."""
    signing = _signing(header, claims)
    return f"{signing}.{text(hmac.digest(secret, signing.encode(), 'sha256'))}"


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """A token that nobody signed."""
    return f"{_signing(header, claims)}."


def _signing(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return f"{text(json.dumps(header).encode())}.{text(json.dumps(claims).encode())}"


def public_pem() -> bytes:
    """The public key as a file: what a confused verifier takes for a shared secret."""
    return RSA_KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def rsa_jwk(kid: str = "one", key: rsa.RSAPrivateKey = RSA_KEY) -> dict[str, Any]:
    """The public RSA key as the provider shows it."""
    public = key.public_key().public_numbers()
    return {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": kid,
        "n": number(public.n),
        "e": number(public.e),
    }


def ec_jwk() -> dict[str, Any]:
    """And the other one."""
    public = EC_KEY.public_key().public_numbers()
    x, y = (text(one.to_bytes(32, "big")) for one in (public.x, public.y))
    return {"kty": "EC", "use": "sig", "crv": "P-256", "kid": "two", "x": x, "y": y}


@dataclass
class Provider:
    """Who is signed in at it, what it says, and what it was asked."""

    clock: Callable[[], int]
    subject: str = "subject-of-anna"
    claims: dict[str, Any] = field(default_factory=dict)
    """In place of those of the next tokens; None leaves one out."""
    header: dict[str, Any] = field(default_factory=lambda: {"alg": "RS256", "kid": "one", "x-odd": 1})
    sign: Callable[[dict[str, Any], dict[str, Any]], str] = rsa_signed
    keys: list[dict[str, Any]] = field(default_factory=lambda: [rsa_jwk(), ec_jwk()])
    document: dict[str, Any] = field(default_factory=dict)
    """In place of what it says of itself."""
    answer: Callable[[str], web.StreamResponse | None] = lambda path: None
    """In place of its answer to this path."""
    padding: int = 0
    """Blanks after what it answers."""
    moves: bool = False
    """Whether it sends whoever asks to the same page in another place."""
    issuer: str = ""
    asked: list[str] = field(default_factory=list)
    referers: set[str | None] = field(default_factory=set)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    back_urls: set[str] = field(default_factory=set)
    """Where it may send browsers; all else is refused, as by a provider where the portal is registered."""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Any of its pages."""
        self.asked.append(request.path)
        self.referers.add(request.headers.get("Referer"))
        odd = self.answer(request.path)
        if odd is not None:
            return odd
        if self.moves and not request.path.startswith("/moved"):
            return web.Response(status=307, headers={"Location": f"/moved{request.path_qs}"})
        match request.path.removeprefix("/moved"):
            case "/.well-known/openid-configuration":
                return self._told(self._document())
            case "/keys":
                return self._told({"keys": self.keys})
            case "/authorize":
                return self._authorize(dict(request.query))
            case "/token":
                return await self._token(request)
            case _other:
                return web.Response(status=404)

    def _document(self) -> dict[str, Any]:
        told = {
            "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/keys",
        } | self.document  # fmt: skip
        return {name: value for name, value in told.items() if value is not None}

    def _authorize(self, query: dict[str, str]) -> web.Response:
        """Whoever comes is signed in already, and sent back at once."""
        if query["redirect_uri"] not in self.back_urls or query["client_id"] != CLIENT:
            return web.Response(status=400, text="not registered here")
        assert ("code", "S256") == (query["response_type"], query["code_challenge_method"])
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = query | {"subject": self.subject}
        back = urlencode({"code": code, "state": query["state"], "iss": self.issuer})
        return web.Response(status=302, headers={"Location": f"{query['redirect_uri']}?{back}"})

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        if "Authorization" in request.headers:
            kind, _, packed = request.headers["Authorization"].partition(" ")
            given = base64.b64decode(packed, validate=True).decode("ascii")
            assert ("Basic", f"{quote(CLIENT, safe='')}:{quote(SECRET, safe='')}") == (kind, given)
            client, secret = (unquote(one) for one in given.split(":"))
        else:
            client, secret = str(form.get("client_id")), str(form.get("client_secret"))
        began = self.codes.pop(str(form.get("code")), None)
        if (
            began is None
            or (client, secret) != (CLIENT, SECRET)
            or form["grant_type"] != "authorization_code"
        ):
            return web.json_response({"error": "invalid_grant"}, status=400)
        proof = text(hashlib.sha256(str(form["code_verifier"]).encode()).digest())
        if (proof, form["redirect_uri"]) != (began["code_challenge"], began["redirect_uri"]):
            return web.json_response({"error": "invalid_grant"}, status=400)
        return self._told({"access_token": "x", "token_type": "Bearer", "id_token": self.token(began)})

    def _told(self, what: dict[str, Any]) -> web.Response:
        return web.Response(text=json.dumps(what) + " " * self.padding, content_type="application/json")

    def token(self, began: dict[str, str]) -> str:
        """An ID token for who began, with what it was told to say."""
        now_s = self.clock() // 10**6
        claims: dict[str, Any] = {
            "iss": self.issuer, "aud": CLIENT, "sub": began["subject"], "nonce": began["nonce"], "iat": now_s,
            "exp": now_s + 300,
        } | self.claims  # fmt: skip
        return self.sign(self.header, {name: value for name, value in claims.items() if value is not None})


@asynccontextmanager
async def provider(clock: Callable[[], int], *back_urls: str) -> AsyncIterator[Provider]:
    """One that runs for the time of the block."""
    one = Provider(clock, back_urls=set(back_urls))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", one.serve)
    server = TestServer(app)
    await server.start_server()
    one.issuer = str(server.make_url("/")).rstrip("/")
    try:
        yield one
    finally:
        await server.close()
