"""What the demo's clients are told to do, and where. Pure; shared by the story and the clients."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Account:
    """A member's key."""

    name: str
    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        return f"Account({self.name!r}, {self.access_key!r}, …)"


@dataclass(frozen=True, slots=True)
class Order:
    """Who works where, and for how long."""

    endpoint: str
    region: str
    seconds: int
    seed: int
    accounts: tuple[Account, ...]


def cut_bucket(member: str) -> str:
    """Where downloads are cut: a bucket of its own, so that its usage is compared by itself."""
    return f"demo-{member}-cut"
