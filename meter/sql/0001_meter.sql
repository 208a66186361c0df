-- The register of members, the streams' places, and the sums of what was counted.

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['weir_meter', 'weir_gateway', 'weir_billing'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        END IF;
        EXECUTE format('GRANT %I TO CURRENT_USER', name);
    END LOOP;
END $$;

CREATE SCHEMA meter;
GRANT USAGE ON SCHEMA meter TO weir_meter, weir_gateway, weir_billing;

CREATE TABLE meter.member (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name      text NOT NULL UNIQUE CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$'),
    class     text NOT NULL CHECK (class IN ('user', 'worker', 'supporter')),
    email     text NOT NULL DEFAULT '' CHECK (length(email) <= 254),
    status    text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'left')),
    joined_at timestamptz NOT NULL,
    left_at   timestamptz,
    CHECK ((status = 'left') = (left_at IS NOT NULL))
);

-- One row a stream: everything up to last_sequence is in the sums below, nothing after it.
CREATE TABLE meter.stream (
    id            uuid PRIMARY KEY,
    label         text NOT NULL,
    last_sequence bigint NOT NULL DEFAULT 0,
    last_record   bytea NOT NULL DEFAULT '',   -- SHA-256 of the record at last_sequence
    shipped_at    timestamptz
);

-- Sealed segments that were shipped whole: the links of the chain.
CREATE TABLE meter.segment (
    stream          uuid NOT NULL REFERENCES meter.stream,
    number          bigint NOT NULL,
    first_sequence  bigint NOT NULL,
    last_sequence   bigint NOT NULL,
    digest          bytea NOT NULL,
    previous_digest bytea NOT NULL,
    PRIMARY KEY (stream, number)
);

-- A closed month takes nothing more; the watermark says what had been shipped of each stream.
CREATE TABLE meter.closed_month (
    month     date PRIMARY KEY,
    closed_at timestamptz NOT NULL,
    watermark jsonb NOT NULL
);

-- The sums of exchanges. period is the month they are billed in, hour is when they happened.
CREATE TABLE meter.reading (
    period    date NOT NULL,
    payer     bigint NOT NULL,
    hour      timestamptz NOT NULL,
    bucket    bigint NOT NULL,
    operation smallint NOT NULL,
    class     smallint NOT NULL,
    zone      smallint NOT NULL,
    requests  bigint NOT NULL,
    failures  bigint NOT NULL,
    aborts    bigint NOT NULL,
    bytes_in  bigint NOT NULL CHECK (bytes_in >= 0),
    bytes_out bigint NOT NULL CHECK (bytes_out >= 0),
    moved_in  bigint NOT NULL,
    moved_out bigint NOT NULL,
    PRIMARY KEY (payer, hour, period, bucket, operation, class, zone)
);
CREATE INDEX reading_by_period ON meter.reading (period, payer);

-- The sums of storage changes: delta = Σδ, moment = Σδ·t with t in microseconds since 1970.
-- bytes stored × time over [a, b) is then Σδ·(b−t) − Σδ·(a−t), exact in any order of arrival.
CREATE TABLE meter.storage (
    period date NOT NULL,
    member bigint NOT NULL,
    hour   timestamptz NOT NULL,
    bucket bigint NOT NULL,
    line   smallint NOT NULL,
    delta  numeric NOT NULL,
    moment numeric NOT NULL,
    PRIMARY KEY (member, hour, period, bucket, line)
);
CREATE INDEX storage_by_period ON meter.storage (period, member);

-- A closed month is closed for everybody, the owner included.
CREATE FUNCTION meter.refuse_closed_month() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM meter.closed_month WHERE month >= NEW.period) THEN
        RAISE EXCEPTION 'the month % is closed', to_char(NEW.period, 'YYYY-MM');
    END IF;
    IF TG_OP = 'UPDATE' AND (
        NEW.requests < OLD.requests OR NEW.bytes_in < OLD.bytes_in OR NEW.bytes_out < OLD.bytes_out
    ) THEN
        RAISE EXCEPTION 'readings are only added to';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reading_is_only_added_to BEFORE INSERT OR UPDATE ON meter.reading
    FOR EACH ROW EXECUTE FUNCTION meter.refuse_closed_month();

CREATE FUNCTION meter.refuse_closed_storage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM meter.closed_month WHERE month >= NEW.period) THEN
        RAISE EXCEPTION 'the month % is closed', to_char(NEW.period, 'YYYY-MM');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER storage_is_only_added_to BEFORE INSERT OR UPDATE ON meter.storage
    FOR EACH ROW EXECUTE FUNCTION meter.refuse_closed_storage();

CREATE FUNCTION meter.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is only added to; % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP;
END $$;
CREATE TRIGGER no_delete BEFORE DELETE OR TRUNCATE ON meter.reading
    FOR EACH STATEMENT EXECUTE FUNCTION meter.refuse_change();
CREATE TRIGGER no_delete BEFORE DELETE OR TRUNCATE ON meter.storage
    FOR EACH STATEMENT EXECUTE FUNCTION meter.refuse_change();
CREATE TRIGGER no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON meter.segment
    FOR EACH STATEMENT EXECUTE FUNCTION meter.refuse_change();
CREATE TRIGGER no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON meter.closed_month
    FOR EACH STATEMENT EXECUTE FUNCTION meter.refuse_change();

GRANT SELECT ON ALL TABLES IN SCHEMA meter TO weir_meter, weir_billing;
GRANT INSERT, UPDATE ON meter.reading, meter.storage, meter.stream TO weir_meter;
GRANT INSERT ON meter.segment TO weir_meter;
GRANT INSERT ON meter.closed_month TO weir_billing;
GRANT SELECT ON meter.member TO weir_gateway;

-- Gateways keep a copy of the register; a change must reach them.
CREATE FUNCTION meter.tell_directory() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('weir_directory', TG_TABLE_NAME);
    RETURN NULL;
END $$;
CREATE TRIGGER tell_directory AFTER INSERT OR UPDATE OR DELETE ON meter.member
    FOR EACH STATEMENT EXECUTE FUNCTION meter.tell_directory();
