"""Billing's and the portal's settings. Prices, costs and shares are no settings: they are in the books."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from billing.portal.entry import is_safe
from meter.proxies import parse_proxies
from meter.public_url import public_url
from meter.settings import RoomSettings


class BillingSettings(RoomSettings):
    """Who may stay logged in for how long, and how much of everything the portal takes."""

    portal_url: str = Field("", description="the portal's public URL; empty is http:// and its address")
    gateway_url: str = Field("", description="the gateway's public URL; empty is http:// and its address")
    region: str = Field(
        "us-east-1", description="region name clients sign for; any other is refused with this one"
    )
    keys_per_member_max: int = Field(
        100, ge=1, le=10_000, description="open access keys of one member that the portal makes at most"
    )
    portal_language: Literal["en", "de", "es"] = Field(
        "en",
        description="language of pages and mails for whoever chose none and whose browser asks for none we have",
    )
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
        30, ge=1, le=100_000, description="tries to sign in from one address in a minute"
    )
    login_addresses_max: int = Field(
        10_000, ge=1, le=10_000_000, description="addresses whose tries are remembered at once"
    )
    passkeys_per_member_max: int = Field(10, ge=1, le=100, description="passkeys of one member")
    entry_try_minutes: int = Field(
        5, ge=1, le=60, description="a passkey or an outside account must answer within so long"
    )
    entry_tries_open_max: int = Field(
        10_000,
        ge=10,
        le=1_000_000,
        description="such answers waited for at once; the oldest is given up first",
    )
    entry_record_lines_max: int = Field(
        200, ge=10, le=10_000, description="lines of one member's record of signing in; the oldest goes first"
    )
    oidc_issuer: str = Field(
        "",
        max_length=500,
        description="OpenID Connect provider whose accounts members may link; empty: none. Needs the extra `oidc`",
    )
    oidc_client_id: str = Field("", description="name by which the provider knows this portal")
    oidc_client_secret: str = Field("", description="the secret to it")
    oidc_name: str = Field(
        "", max_length=60, description="what members know the provider by; empty: its host name"
    )
    oidc_timeout_s: int = Field(10, ge=1, le=60, description="longest wait for one answer of the provider")
    oidc_answer_bytes_max: int = Field(
        256 * 1024, ge=1024, le=16 * 2**20, description="largest answer of the provider that is read"
    )
    oidc_keys_age_max_s: int = Field(
        3600,
        ge=60,
        le=86_400,
        description="the provider's keys and addresses are asked for anew after so long",
    )
    oidc_clock_skew_s: int = Field(
        60, ge=0, le=600, description="so far the provider's clock may be off ours"
    )
    trusted_proxies: str = Field(
        "",
        description="networks of proxies whose X-Forwarded-For and -Proto count, as 10.0.0.1/32, comma-separated",
    )
    smtp_host: str = Field(
        "", description="mail server that sends one-time links; empty: the command line alone makes them"
    )
    smtp_port: int = Field(587, ge=1, le=65535, description="its port")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="how it is spoken to; none is for a relay on this machine, without smtp_user"
    )
    smtp_user: str = Field("", description="name to sign in with at the mail server; empty: without")
    smtp_password: str = Field("", description="the password to it")
    smtp_from: str = Field("", description="address that one-time links come from")
    smtp_timeout_s: int = Field(
        20, ge=1, le=600, description="longest wait for one answer of the mail server"
    )
    smtp_tries_max: int = Field(3, ge=1, le=20, description="tries to send one mail")
    login_mails_waiting_max: int = Field(
        100,
        ge=1,
        le=100_000,
        description="mails about signing in that wait to be sent; what comes on top is dropped",
    )
    login_mails_per_hour_max: int = Field(
        5,
        ge=1,
        le=1000,
        description="one-time links mailed to one member in an hour, and as many notices of new ways to sign in",
    )
    paper_bytes_max: int = Field(
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
    portal_usage_days_max: int = Field(
        400, ge=1, le=4000, description="days the portal's page of usage spans at most"
    )
    portal_usage_hours_max: int = Field(
        744, ge=24, le=10_000, description="hours the portal's page of usage spans at most, by hour"
    )
    portal_usage_rows_max: int = Field(
        500, ge=10, le=10_000, description="rows of usage on a page of the portal; files have them all"
    )
    portal_export_rows_max: int = Field(
        5_000_000,
        ge=1000,
        description="rows of everything known about a member that the portal puts in one file",
    )
    portal_export_papers_bytes_max: int = Field(
        2**30,
        ge=0,
        description="bytes of papers beside a member's own proposals that the portal puts in the same file",
    )
    portal_bundle_records_max: int = Field(
        5_000_000,
        ge=1000,
        description="single records of a month that the portal puts in the file by which a member checks a statement",
    )
    portal_bundle_timeout_s: int = Field(
        300, ge=1, le=3600, description="longest wait until such a file is made"
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
    api_tokens_per_member_max: int = Field(
        20, ge=1, le=1000, description="open tokens for the API of one member"
    )
    api_token_days_max: int = Field(
        365, ge=1, le=3650, description="a token for the API ends after so many days"
    )
    api_requests_per_minute_max: int = Field(
        300, ge=1, le=1_000_000, description="requests to the API of one member in a minute"
    )
    api_searches_per_minute_max: int = Field(
        30,
        ge=1,
        le=1_000_000,
        description="of these, what reads much: single requests, statements, years, the books, what runs just now",
    )
    api_refused_per_minute_max: int = Field(
        30,
        ge=1,
        le=1_000_000,
        description="tries of the API without a token that works, from one address in a minute",
    )
    api_callers_max: int = Field(
        10_000,
        ge=1,
        le=10_000_000,
        description="members, and addresses, whose requests to the API are counted at once",
    )
    api_rows_max: int = Field(500, ge=1, le=10_000, description="rows in one answer of the API")
    portal_stop_timeout_s: int = Field(
        10, ge=0, le=600, description="at a stop, open pages get so long to finish"
    )
    list_price_age_days_max: int = Field(
        365, ge=1, le=36_500, description="list prices older than this are called old by `weir compare`"
    )
    list_price_directory: str = Field(
        "", description="a directory of price files of your own, which go before those that come with Weir"
    )
    next_meeting: str = Field(
        "", max_length=400, description="when and where the members meet next, as the portal tells them"
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
    proposal_voters_listed_max: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="who voted, by name, on the page of a proposal; the result has them all",
    )

    @field_validator("portal_url", "gateway_url")
    @classmethod
    def _are_addresses(cls, value: str) -> str:
        return public_url(value)

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        parse_proxies(value)
        return value

    @model_validator(mode="after")
    def _can_send(self) -> Self:
        if self.smtp_host and not self.smtp_from:
            raise ValueError("smtp_host needs smtp_from, the address that mails come from")
        if self.smtp_user and self.smtp_security == "none":
            raise ValueError(
                "smtp_user needs smtp_security starttls or tls: a password is never sent in clear"
            )
        return self

    @model_validator(mode="after")
    def _can_send_members_outside(self) -> Self:
        if not self.oidc_issuer:
            return self
        if not is_safe(self.oidc_issuer, issuer=self.oidc_issuer):
            raise ValueError("oidc_issuer must begin with https://, but for a provider on this machine")
        if not (self.portal_url and self.oidc_client_id and self.oidc_client_secret):
            raise ValueError("oidc_issuer needs portal_url, oidc_client_id and oidc_client_secret")
        return self
