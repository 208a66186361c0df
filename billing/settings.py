"""Billing's settings."""

from meter.settings import RoomSettings


class BillingSettings(RoomSettings):
    """Replaced by the billing room's own."""
