"""Tokens of the API made and recognised: 32 random bytes, kept as SHA-256, compared in constant time.

It does not know HTTP.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from billing.portal import token_store
from billing.portal.tokens import TOKEN, Caller, WantedToken
from billing.settings import BillingSettings
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal

ID_BYTES, SECRET_BYTES = 8, 32
ADDRESS_CHARACTERS_MAX = 64
CLOSED_KEPT = 100
"""Closed tokens of one member that stay on their page."""
_NOBODYS = bytes(32)
"""What the secret of an unknown token is held against, so that it takes as long as a wrong one."""


async def make_token(
    connection: Connection, member: MemberId, wanted: WantedToken, settings: BillingSettings, *, now_us: int
) -> str:
    """Enter a token; its text, for the one answer that shows it. Raises Refusal."""
    token_id, secret = secrets.token_hex(ID_BYTES), secrets.token_urlsafe(SECRET_BYTES)
    open_max = settings.api_tokens_per_member_max
    async with connection.transaction():
        await token_store.lock_tokens(connection, member)
        if await token_store.open_count(connection, member, now_us=now_us) >= open_max:
            raise Refusal(
                f"that are more than {open_max} open tokens (api_tokens_per_member_max); revoke one first"
            )
        if not await token_store.insert_token(
            connection, token_id, member, _digest(secret), wanted, now_us=now_us
        ):
            raise Refusal("no tokens are made for who has left")
        await token_store.forget_tokens(connection, member, now_us=now_us, keep=CLOSED_KEPT)
    return f"weir_{token_id}_{secret}"


async def caller_of(connection: Connection, text: str, *, address: str, now_us: int) -> Caller | None:
    """Whose open token this is; None for anything else. Being used is noted."""
    read = TOKEN.fullmatch(text)
    if read is None:
        return None
    found = await token_store.caller(connection, read[1])
    is_right = hmac.compare_digest(_NOBODYS if found is None else found[0], _digest(read[2]))
    if found is None or not is_right or not found[1].token.is_open(now_us):
        return None
    await token_store.note_use(connection, read[1], address=address[:ADDRESS_CHARACTERS_MAX], now_us=now_us)
    return found[1]


def _digest(secret: str) -> bytes:
    # 256 random bits need no slow hash.
    return hashlib.sha256(secret.encode("ascii")).digest()
