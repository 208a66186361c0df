"""Billing's settings."""

from __future__ import annotations

from pydantic import Field

from meter.settings import RoomSettings


class BillingSettings(RoomSettings):
    """Replaced by the billing room's own; these are the names deploy reads."""

    currency: str = Field("EUR", description="the co-op's currency, as ISO 4217 names it")
    portal_url: str = Field("", description="the portal's public URL; empty is http:// and its address")
    login_link_ttl_minutes: int = Field(60, ge=1, description="life of a one-time login link")
