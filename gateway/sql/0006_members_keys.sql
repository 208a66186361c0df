-- Members make, end and revoke their own keys in the portal, which can seal a secret and can open none.

-- The public half of what opens secrets; its other half follows from the master key. The one published last is in force.
CREATE TABLE gateway.letterbox (
    public_key   bytea PRIMARY KEY CHECK (length(public_key) = 32),
    published_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT, INSERT ON gateway.letterbox TO weir_gateway;
GRANT UPDATE (published_at) ON gateway.letterbox TO weir_gateway;
GRANT SELECT ON gateway.letterbox TO weir_billing;

-- All of a key but its secret, sealed as it is.
GRANT SELECT (access_key, member, created_at, revoked_at, scope) ON gateway.access_key TO weir_billing;
GRANT SELECT (created_at, deleted_at) ON gateway.bucket TO weir_billing;
-- For members who take everything about them with them.
GRANT SELECT ON gateway.bucket_document, gateway.member_limit TO weir_billing;

-- The three things a member may do, each for the keys of that member alone; run as the owner, whose triggers tell
-- gateways as always. billing may not write the table itself: a key once closed stays closed, a bound never widens.
CREATE FUNCTION gateway.add_own_key(
    p_member bigint, p_access_key text, p_secret bytea, p_scope jsonb, p_at timestamptz, p_open_max integer
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- One at a time for each member, so that the limit holds.
    PERFORM FROM meter.member WHERE id = p_member AND status = 'active' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no keys are made for this member now' USING ERRCODE = 'WK001';
    END IF;
    IF substring(p_secret FROM 1 FOR 8) <> 'weirbox1'::bytea THEN
        RAISE EXCEPTION 'a secret that is not sealed to the letterbox';
    END IF;
    IF (SELECT count(*) FROM gateway.access_key WHERE member = p_member AND revoked_at IS NULL
            AND coalesce((scope->>'expires_us')::bigint > extract(epoch FROM p_at) * 1000000, true)) >= p_open_max THEN
        RAISE EXCEPTION 'this member has % open keys already', p_open_max USING ERRCODE = 'WK002';
    END IF;
    INSERT INTO gateway.access_key (access_key, member, secret, created_at, scope)
        VALUES (p_access_key, p_member, p_secret, p_at, p_scope);
END $$;

CREATE FUNCTION gateway.revoke_own_key(p_member bigint, p_access_key text, p_at timestamptz)
    RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE gateway.access_key SET revoked_at = p_at
        WHERE access_key = p_access_key AND member = p_member AND revoked_at IS NULL;
    RETURN FOUND;
END $$;

-- Only ever earlier than it would have ended.
CREATE FUNCTION gateway.end_own_key(p_member bigint, p_access_key text, p_expires_us bigint)
    RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE gateway.access_key SET scope = coalesce(scope, '{"read_only": false}')
            || jsonb_build_object('expires_us', least((scope->>'expires_us')::bigint, p_expires_us))
        WHERE access_key = p_access_key AND member = p_member AND revoked_at IS NULL;
    RETURN FOUND;
END $$;

REVOKE EXECUTE ON FUNCTION gateway.add_own_key, gateway.revoke_own_key, gateway.end_own_key FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gateway.add_own_key, gateway.revoke_own_key, gateway.end_own_key TO weir_billing;
