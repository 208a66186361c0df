"""Billing's and the portal's settings. Prices, costs and shares are no settings: they are in the books."""

from __future__ import annotations

from pydantic import Field

from meter.settings import RoomSettings


class BillingSettings(RoomSettings):
    """Who may stay logged in for how long, and how much of everything the portal takes."""

    portal_url: str = Field("", description="the portal's public URL; empty is http:// and its address")
    portal_port: int = Field(
        9001, ge=0, le=65535, description="port of the members' portal; 0 takes a free one"
    )
    login_link_ttl_minutes: int = Field(60, ge=1, le=10_080, description="a one-time link works for so long")
    login_links_open_max: int = Field(
        10, ge=1, le=1000, description="unused one-time links of one member; the oldest goes first"
    )
    session_idle_minutes: int = Field(
        120, ge=1, le=43_200, description="a session ends after so long without a page"
    )
    session_absolute_hours: int = Field(
        168, ge=1, le=8760, description="a session ends after so long in any case"
    )
    sessions_per_member_max: int = Field(
        20, ge=1, le=1000, description="sessions of one member; the oldest goes first"
    )
    login_attempts_per_minute_max: int = Field(
        30, ge=1, le=100_000, description="tries of one-time links from one address in a minute"
    )
    login_addresses_max: int = Field(
        10_000, ge=1, le=10_000_000, description="addresses whose tries are remembered at once"
    )
    document_bytes_max: int = Field(
        20 * 2**20,
        ge=1024,
        le=2**30,
        description="largest paper kept: of an invoice, a resolution, a consent",
    )
    portal_body_bytes_max: int = Field(16 * 1024, ge=1024, description="largest body the portal reads")
    portal_statements_max: int = Field(
        120, ge=1, le=1200, description="past statements listed on a member's page"
    )
    portal_requests_per_page: int = Field(
        100, ge=1, le=10_000, description="single requests on a page of the portal"
    )
    portal_requests_listed_max: int = Field(
        10_000, ge=1, le=1_000_000, description="single requests of a day the portal shows at most"
    )
    portal_search_timeout_s: int = Field(
        10, ge=1, le=600, description="longest search for the single requests of a day"
    )
    portal_refresh_s: int = Field(
        5, ge=2, le=3600, description="the portal's page of what runs just now looks again this often"
    )
    portal_live_records_max: int = Field(
        200_000, ge=1, description="records beyond the sums that such a page reads at most"
    )
    portal_stop_timeout_s: int = Field(
        10, ge=0, le=600, description="at a stop, open pages get so long to finish"
    )
    list_price_age_days_max: int = Field(
        365, ge=1, le=36_500, description="list prices older than this are called old by `weir compare`"
    )
    list_price_directory: str = Field(
        "", description="a directory of price files of your own, which go before those that come with Weir"
    )
    bank_file_bytes_max: int = Field(
        64 * 1024 * 1024, ge=1024, description="largest statement of the bank that `weir pay import` reads"
    )
    proposals_waiting_max: int = Field(
        10, ge=1, le=1000, description="proposals of one member that wait to be opened"
    )
    proposal_attachments_max: int = Field(10, ge=1, le=100, description="papers attached to one proposal")
    proposal_attachment_bytes_max: int = Field(
        2 * 2**20, ge=1024, le=64 * 2**20, description="largest paper attached to a proposal"
    )
    proposal_comments_per_day_max: int = Field(
        100, ge=1, le=10_000, description="what one member says to proposals within a day"
    )
    proposals_listed_max: int = Field(100, ge=1, le=10_000, description="proposals on one page of the portal")
