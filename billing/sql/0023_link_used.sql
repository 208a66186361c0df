-- Whose browser used a one-time link a moment ago: a button that is pressed twice must not lose the session that the
-- first press began. Of the link and of what the page left in the browser there are digests; it is kept for seconds.
CREATE TABLE billing.link_used (
    token_sha256   bytea PRIMARY KEY CHECK (length(token_sha256) = 32),
    browser_sha256 bytea NOT NULL CHECK (length(browser_sha256) = 32),
    session_sha256 bytea NOT NULL CHECK (length(session_sha256) = 32),
    used_at        timestamptz NOT NULL
);
CREATE INDEX link_used_by_age ON billing.link_used (used_at);

GRANT SELECT, INSERT, DELETE ON billing.link_used TO weir_billing;
GRANT UPDATE (session_sha256) ON billing.link_used TO weir_billing;
