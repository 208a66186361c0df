-- More ways into the portal beside one-time links: passkeys, and accounts that members linked themselves. No secret of
-- anybody's is kept: a passkey's private key stays on its device, and of what is under way there is a digest.

-- By what a session was begun.
ALTER TABLE billing.session ADD COLUMN way text NOT NULL DEFAULT 'link' CHECK (way IN ('link', 'passkey', 'account'));

-- A way in that was begun and not ended: challenge, state and nonce all follow from one token, which a browser holds.
CREATE TABLE billing.entry_try (
    token_sha256 bytea PRIMARY KEY CHECK (length(token_sha256) = 32),
    purpose      text NOT NULL CHECK (purpose IN ('passkey', 'new passkey', 'account', 'new account')),
    -- The session that asked for something new; none where somebody only wants to get in.
    session      bigint,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL CHECK (expires_at > created_at),
    CHECK ((session IS NULL) = (purpose IN ('passkey', 'account')))
);
CREATE INDEX entry_try_by_age ON billing.entry_try (created_at);

-- By this random name devices know a member; it says nothing about them.
CREATE TABLE billing.passkey_holder (
    member bigint PRIMARY KEY REFERENCES meter.member,
    handle bytea NOT NULL UNIQUE CHECK (length(handle) = 32)
);

CREATE TABLE billing.passkey (
    number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    member     bigint NOT NULL REFERENCES billing.passkey_holder,
    credential bytea NOT NULL UNIQUE CHECK (length(credential) BETWEEN 1 AND 1023),
    public_key bytea NOT NULL CHECK (length(public_key) BETWEEN 1 AND 2048),
    -- As the device last counted; 0 where it does not count.
    counter    bigint NOT NULL CHECK (counter BETWEEN 0 AND 4294967295),
    is_synced  boolean NOT NULL,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 60),
    created_at timestamptz NOT NULL,
    seen_at    timestamptz
);
CREATE INDEX passkey_by_member ON billing.passkey (member, number);

-- Two passkeys of one member made at once are counted one after the other.
CREATE FUNCTION billing.lock_passkeys(p_member bigint) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(1651470189, hashint8(p_member));
$$;

-- An account at an OpenID Connect provider. One account opens one membership, and a membership has one at a provider.
CREATE TABLE billing.outside_account (
    issuer     text NOT NULL CHECK (length(issuer) BETWEEN 1 AND 500),
    subject    text NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
    member     bigint NOT NULL REFERENCES meter.member,
    created_at timestamptz NOT NULL,
    seen_at    timestamptz,
    PRIMARY KEY (issuer, subject),
    UNIQUE (member, issuer)
);

-- What happened at the door, for the member it is about: the newest are kept.
CREATE TABLE billing.entry_record (
    number  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    member  bigint NOT NULL REFERENCES meter.member,
    at      timestamptz NOT NULL,
    what    text NOT NULL CHECK (what IN (
        'in by link', 'in by passkey', 'in by account', 'passkey added', 'passkey removed', 'passkey refused',
        'account linked', 'account unlinked'
    )),
    name    text NOT NULL DEFAULT '' CHECK (length(name) <= 500),
    address text NOT NULL DEFAULT '' CHECK (length(address) <= 64)
);
CREATE INDEX entry_record_by_member ON billing.entry_record (member, number);

GRANT SELECT, INSERT, DELETE ON billing.entry_try TO weir_billing;
GRANT SELECT, INSERT ON billing.passkey_holder TO weir_billing;
GRANT SELECT, INSERT, DELETE ON billing.passkey TO weir_billing;
GRANT UPDATE (counter, seen_at) ON billing.passkey TO weir_billing;
GRANT SELECT, INSERT, DELETE ON billing.outside_account TO weir_billing;
GRANT UPDATE (seen_at) ON billing.outside_account TO weir_billing;
GRANT SELECT, INSERT, DELETE ON billing.entry_record TO weir_billing;
