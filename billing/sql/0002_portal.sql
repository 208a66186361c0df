-- The portal's way in. Only digests are kept: who reads this table can log in as nobody.

CREATE TABLE billing.login_link (
    token_sha256 bytea PRIMARY KEY CHECK (length(token_sha256) = 32),
    member       bigint NOT NULL REFERENCES meter.member,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX login_link_by_member ON billing.login_link (member, created_at);

CREATE TABLE billing.session (
    token_sha256 bytea PRIMARY KEY CHECK (length(token_sha256) = 32),
    member       bigint NOT NULL REFERENCES meter.member,
    created_at   timestamptz NOT NULL,
    seen_at      timestamptz NOT NULL
);
CREATE INDEX session_by_member ON billing.session (member, created_at);

GRANT SELECT, INSERT, DELETE ON billing.login_link TO weir_billing;
GRANT SELECT, INSERT, DELETE ON billing.session TO weir_billing;
GRANT UPDATE (seen_at) ON billing.session TO weir_billing;
