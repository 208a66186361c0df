-- Members' tokens for the JSON API. Only the digest of a secret is kept: who reads this table can ask as nobody.

CREATE TABLE billing.api_token (
    id            text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{16}$'),
    member        bigint NOT NULL REFERENCES meter.member,
    secret_sha256 bytea NOT NULL CHECK (length(secret_sha256) = 32),
    name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 60),
    scopes        text[] NOT NULL CHECK (cardinality(scopes) BETWEEN 1 AND 20),
    created_at    timestamptz NOT NULL,
    -- Every token ends; the settings bound it further.
    expires_at    timestamptz NOT NULL CHECK (expires_at > created_at AND expires_at <= created_at + interval '3660 days'),
    seen_at       timestamptz,
    seen_from     text NOT NULL DEFAULT '' CHECK (length(seen_from) <= 64),
    revoked_at    timestamptz
);
CREATE INDEX api_token_by_member ON billing.api_token (member, created_at);

-- Two tokens of one member made at once are counted one after the other.
CREATE FUNCTION billing.lock_api_tokens(p_member bigint) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(1651470188, hashint8(p_member));
$$;

CREATE FUNCTION billing.refuse_opening_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at THEN
        RAISE EXCEPTION 'the token % was revoked, and stays so', OLD.id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER a_revoked_for_good BEFORE UPDATE ON billing.api_token
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_opening_again();

-- What a token may, whose it is and when it ends never changes.
GRANT SELECT, INSERT, DELETE ON billing.api_token TO weir_billing;
GRANT UPDATE (seen_at, seen_from, revoked_at) ON billing.api_token TO weir_billing;
