-- Offices of the co-op, the log of every act done in one, and the rights that only such acts need.

-- The portal's ordinary connection reads the books and writes what is a member's own. Whatever changes the books, the
-- register of shares or decisions is written by weir_office: by commands, and by the one connection of the portal that
-- only the pages of offices use. So a fault in a member's page cannot book anything.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'weir_office') THEN
        CREATE ROLE weir_office NOLOGIN;
    END IF;
    EXECUTE format('GRANT %I TO CURRENT_USER', 'weir_office');
END $$;
GRANT weir_billing TO weir_office;

DO $$
DECLARE
    own  CONSTANT text[] := ARRAY['login_link', 'session', 'proposal', 'proposal_text', 'proposal_attachment',
        'proposal_comment', 'ballot', 'turnout', 'vote_result', 'capital_request'];
    name text;
BEGIN
    FOR name IN SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'billing'::regnamespace AND c.relkind = 'r'
        AND NOT c.relname = ANY(own) AND has_table_privilege('weir_billing', c.oid, 'INSERT') LOOP
        EXECUTE format('GRANT INSERT ON billing.%I TO weir_office', name);
        EXECUTE format('REVOKE INSERT ON billing.%I FROM weir_billing', name);
    END LOOP;
END $$;
GRANT INSERT ON meter.closed_month TO weir_office;
REVOKE INSERT ON meter.closed_month FROM weir_billing;
-- Who runs the gateways sees them in the portal, too.
GRANT SELECT ON gateway.gateway, gateway.gateway_stream, gateway.directory_change TO weir_billing;

-- Who holds an office, from when to when. Granted by the register's owner alone, as who is a member is.
CREATE TABLE billing.office (
    number      bigint PRIMARY KEY,
    member      bigint NOT NULL REFERENCES meter.member,
    role        text NOT NULL CHECK (role IN ('treasurer', 'operator', 'board')),
    from_at     timestamptz NOT NULL,
    until_at    timestamptz CHECK (until_at > from_at),
    resolution  text REFERENCES billing.resolution,
    who         text NOT NULL CHECK (length(who) BETWEEN 1 AND 200),
    recorded_at timestamptz NOT NULL
);
CREATE INDEX office_by_member ON billing.office (member, role);

-- The end of one before its time, or of one that had none; of several the soonest.
CREATE TABLE billing.office_end (
    office      bigint NOT NULL REFERENCES billing.office,
    ends_at     timestamptz NOT NULL,
    resolution  text REFERENCES billing.resolution,
    who         text NOT NULL CHECK (length(who) BETWEEN 1 AND 200),
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (office, ends_at)
);

CREATE VIEW billing.office_held AS
    SELECT o.number, o.member, o.role, o.from_at, o.resolution, o.who,
        least(o.until_at, (SELECT min(e.ends_at) FROM billing.office_end e WHERE e.office = o.number)) AS until_at
    FROM billing.office o;

-- Whether somebody may act in an office at an instant. Who was suspended or left may not.
CREATE FUNCTION billing.holds_office(p_member bigint, p_role text, p_at timestamptz) RETURNS boolean LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM billing.office_held h JOIN meter.member m ON m.id = h.member
        WHERE h.member = p_member AND h.role = p_role AND m.status = 'active'
            AND h.from_at <= p_at AND (h.until_at IS NULL OR p_at < h.until_at))
$$;

-- One row an act, chained: each names the digest of the one before, and its own is made of all it says. "what" is for
-- every member and names no other one; "detail" is for whom it is about and for who acted.
CREATE TABLE billing.act (
    number   bigint PRIMARY KEY,                  -- running, without gaps
    at       timestamptz NOT NULL,
    member   bigint REFERENCES meter.member,      -- who acted; NULL: somebody at the command line
    who      text NOT NULL CHECK (length(who) BETWEEN 1 AND 200),
    role     text NOT NULL CHECK (role IN ('treasurer', 'operator', 'board')),
    kind     text NOT NULL CHECK (kind ~ '^[a-z][a-z -]{0,62}$'),
    subject  bigint REFERENCES meter.member,      -- whom it is about, if one member
    what     text NOT NULL CHECK (length(what) BETWEEN 1 AND 500),
    detail   text NOT NULL CHECK (length(detail) <= 4000),
    is_done  boolean NOT NULL,                    -- false: it was refused, and nothing changed
    previous bytea NOT NULL CHECK (length(previous) = 32),
    digest   bytea NOT NULL CHECK (length(digest) = 32)
);
CREATE INDEX act_by_subject ON billing.act (subject, number) WHERE subject IS NOT NULL;
CREATE INDEX act_by_kind ON billing.act (kind, number);

-- Lengths stand before what a person typed, so that no two acts have one text.
CREATE FUNCTION billing.act_digest(one billing.act) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(convert_to(concat(
        'weir-act-1', E'\n', one.number, E'\n', (extract(epoch FROM one.at) * 1000000)::bigint, E'\n',
        coalesce(one.member::text, '-'), E'\n', one.role, E'\n', one.kind, E'\n', coalesce(one.subject::text, '-'), E'\n',
        CASE WHEN one.is_done THEN 'done' ELSE 'refused' END, E'\n', length(one.who), ':', one.who, E'\n',
        length(one.what), ':', one.what, E'\n', length(one.detail), ':', one.detail, E'\n',
        encode(one.previous, 'hex')), 'UTF8'))
$$;

-- The place and the links are the database's to give, whatever was asked for; a member acts only in an office they hold.
-- The lock is taken last in an act's transaction and held until its end. The key is "acts" in ASCII.
CREATE FUNCTION billing.take_act() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last record;
BEGIN
    PERFORM pg_advisory_xact_lock(1633907827);
    IF NEW.member IS NOT NULL AND NOT billing.holds_office(NEW.member, NEW.role, NEW.at) THEN
        RAISE EXCEPTION 'member % does not hold the office of %', NEW.member, NEW.role USING ERRCODE = 'WA001';
    END IF;
    SELECT a.number, a.digest INTO last FROM billing.act a ORDER BY a.number DESC LIMIT 1;
    NEW.number := coalesce(last.number, 0) + 1;
    NEW.previous := coalesce(last.digest, decode(repeat('00', 32), 'hex'));
    NEW.digest := billing.act_digest(NEW);
    RETURN NEW;
END $$;
REVOKE EXECUTE ON FUNCTION billing.take_act() FROM PUBLIC;

CREATE TRIGGER a_taken BEFORE INSERT ON billing.act FOR EACH ROW EXECUTE FUNCTION billing.take_act();
CREATE TRIGGER b_next_number BEFORE INSERT ON billing.office
    FOR EACH ROW EXECUTE FUNCTION billing.next_number();
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['office', 'office_end', 'act'] LOOP
        EXECUTE format('CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change()', name);
        EXECUTE format('GRANT SELECT ON billing.%I TO weir_billing', name);
    END LOOP;
END $$;
GRANT SELECT ON billing.office_held TO weir_billing;

-- Every room's role may note its act, beside what it changed; the links are never its own to write.
GRANT USAGE ON SCHEMA billing TO weir_meter, weir_gateway;
GRANT INSERT (at, member, who, role, kind, subject, what, detail, is_done) ON billing.act
    TO weir_billing, weir_office, weir_meter, weir_gateway;
