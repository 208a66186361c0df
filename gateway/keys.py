"""Access keys: made, listed, revoked. The secret is shown once by create_key and otherwise stays sealed."""

from __future__ import annotations

from gateway import store
from gateway.scope import KeyScope, render_scope
from gateway.store import KeyRow
from gateway.vault import Vault
from meter.credentials import new_access_key, new_secret_key
from meter.ids import MemberId
from meter.postgres import Connection
from meter.refusal import Refusal


async def create_key(
    connection: Connection, member: MemberId, *, vault: Vault, now_us: int, scope: KeyScope | None = None
) -> tuple[str, str]:
    """A new (access key, secret key) pair: 20 and 40 characters, about 83 and 238 bits."""
    access_key, secret_key = new_access_key(), new_secret_key()
    sealed = vault.seal(secret_key, access_key=access_key)
    await store.add_key(
        connection, access_key=access_key, member=member, secret=sealed, now_us=now_us,
        scope=None if scope is None else render_scope(scope),
    )  # fmt: skip
    return access_key, secret_key


async def list_keys(connection: Connection, member: MemberId | None = None) -> list[KeyRow]:
    """Keys by age, revoked ones included."""
    return await store.keys(connection, member=member)


async def revoke_key(connection: Connection, access_key: str, *, now_us: int) -> MemberId:
    """Close a key; whose it was. Gateways hear of it within seconds. Raises Refusal for an unknown or closed one."""
    owner = await store.revoke_key(connection, access_key, now_us=now_us)
    if owner is None:
        raise Refusal(f"there is no open access key '{access_key}'; `weir key list` shows them")
    return owner


async def reveal_secret(connection: Connection, access_key: str, *, vault: Vault) -> str:
    """The secret of a key, for the operator of a one-machine start. Raises Refusal."""
    rows = await store.keys(connection, access_key=access_key)
    if not rows:
        raise Refusal(f"there is no access key '{access_key}'")
    return vault.reveal(rows[0].secret, access_key=access_key)


async def publish_letterbox(connection: Connection, vault: Vault) -> None:
    """Tell the portal to which public key it seals the secrets of keys that members make there."""
    await store.publish_letterbox(connection, vault.letterbox)
