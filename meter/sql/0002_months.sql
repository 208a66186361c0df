-- Sums by month: each month a partition of its own that roles can write only while it is open; corrections as
-- a class of their own; what was stored before a month without a look at all months before it.

-- A correction takes back or adds bytes; it is no request. Everything else only grows.
ALTER TABLE meter.reading RENAME TO reading_unparted;
ALTER TABLE meter.storage RENAME TO storage_unparted;
ALTER INDEX meter.reading_pkey RENAME TO reading_unparted_pkey;
ALTER INDEX meter.storage_pkey RENAME TO storage_unparted_pkey;

CREATE TABLE meter.reading (
    period     date NOT NULL,
    payer      bigint NOT NULL,
    hour       timestamptz NOT NULL,
    bucket     bigint NOT NULL,
    operation  smallint NOT NULL,
    class      smallint NOT NULL,
    zone       smallint NOT NULL,
    requests   bigint NOT NULL,
    failures   bigint NOT NULL,
    aborts     bigint NOT NULL,
    bytes_in   bigint NOT NULL,
    bytes_out  bigint NOT NULL,
    moved_in   bigint NOT NULL,
    moved_out  bigint NOT NULL,
    correction boolean NOT NULL DEFAULT false,
    PRIMARY KEY (payer, hour, period, bucket, operation, class, zone, correction),
    CONSTRAINT only_corrections_are_negative
        CHECK (correction OR (bytes_in >= 0 AND bytes_out >= 0 AND moved_in >= 0 AND moved_out >= 0)),
    CONSTRAINT corrections_are_no_requests
        CHECK (requests >= 0 AND failures >= 0 AND aborts >= 0
               AND (NOT correction OR (requests = 0 AND failures = 0 AND aborts = 0)))
) PARTITION BY RANGE (period);

-- delta = Σδ, moment = Σδ·t with t in microseconds since 1970, as before.
CREATE TABLE meter.storage (
    period date NOT NULL,
    member bigint NOT NULL,
    hour   timestamptz NOT NULL,
    bucket bigint NOT NULL,
    line   smallint NOT NULL,
    delta  numeric NOT NULL,
    moment numeric NOT NULL,
    PRIMARY KEY (member, hour, period, bucket, line)
) PARTITION BY RANGE (period);

-- The same sums a day: a month of a member is then thirty rows a key instead of seven hundred.
CREATE TABLE meter.reading_day (
    period     date NOT NULL,
    payer      bigint NOT NULL,
    day        timestamptz NOT NULL,
    bucket     bigint NOT NULL,
    operation  smallint NOT NULL,
    class      smallint NOT NULL,
    zone       smallint NOT NULL,
    requests   bigint NOT NULL,
    failures   bigint NOT NULL,
    aborts     bigint NOT NULL,
    bytes_in   bigint NOT NULL,
    bytes_out  bigint NOT NULL,
    moved_in   bigint NOT NULL,
    moved_out  bigint NOT NULL,
    correction boolean NOT NULL,
    PRIMARY KEY (payer, day, period, bucket, operation, class, zone, correction)
) PARTITION BY RANGE (period);
CREATE TABLE meter.storage_day (
    period date NOT NULL,
    member bigint NOT NULL,
    day    timestamptz NOT NULL,
    bucket bigint NOT NULL,
    line   smallint NOT NULL,
    delta  numeric NOT NULL,
    moment numeric NOT NULL,
    PRIMARY KEY (member, day, period, bucket, line)
) PARTITION BY RANGE (period);

-- The months there are partitions for.
CREATE TABLE meter.month (
    month     date PRIMARY KEY CHECK (extract(day FROM month) = 1),
    opened_at timestamptz NOT NULL DEFAULT now()
);

-- Hours of `month` that were booked to a later `period`, because `month` was closed.
CREATE TABLE meter.late (
    month  date NOT NULL,
    period date NOT NULL CHECK (period > month),
    PRIMARY KEY (month, period)
);

-- Σδ a period: what was stored when a month began is the sum over the periods before it.
CREATE TABLE meter.stored (
    member bigint NOT NULL,
    period date NOT NULL,
    bucket bigint NOT NULL,
    line   smallint NOT NULL,
    delta  numeric NOT NULL,
    PRIMARY KEY (member, period, bucket, line)
);

-- Records whose own time cannot be true (before the co-op, or after the months that may be opened) count from
-- the moment they were shipped: of these records, those outside of [earliest, latest).
CREATE TABLE meter.displaced (
    stream         uuid NOT NULL REFERENCES meter.stream,
    first_sequence bigint NOT NULL,
    last_sequence  bigint NOT NULL CHECK (last_sequence >= first_sequence),
    earliest_us    bigint NOT NULL,
    latest_us      bigint NOT NULL,
    counted_us     bigint NOT NULL,
    PRIMARY KEY (stream, first_sequence)
);

-- Who entered a correction, and why. Row n of a stream is record n of that stream in the journal.
CREATE TABLE meter.correction (
    stream       uuid NOT NULL,
    sequence     bigint NOT NULL CHECK (sequence > 0),
    request_id   bytea CHECK (octet_length(request_id) = 16),   -- the exchange it mends; NULL for none
    member       bigint NOT NULL REFERENCES meter.member,
    bucket       bigint NOT NULL CHECK (bucket >= 0),
    zone         smallint NOT NULL,
    at           timestamptz NOT NULL,
    bytes_in     bigint NOT NULL DEFAULT 0,
    bytes_out    bigint NOT NULL DEFAULT 0,
    line         smallint,                                      -- of stored bytes; NULL for traffic
    stored_bytes bigint NOT NULL DEFAULT 0,
    who          text NOT NULL CHECK (length(who) BETWEEN 1 AND 100),
    why          text NOT NULL CHECK (length(why) BETWEEN 1 AND 1000),
    entered_at   timestamptz NOT NULL,
    PRIMARY KEY (stream, sequence),
    CONSTRAINT traffic_or_storage CHECK (
        (line IS NULL AND stored_bytes = 0 AND (bytes_in <> 0 OR bytes_out <> 0))
        OR (line IS NOT NULL AND stored_bytes <> 0 AND bytes_in = 0 AND bytes_out = 0)
    )
);
CREATE INDEX correction_by_member ON meter.correction (member, at);

CREATE FUNCTION meter.part_name(parent text, asked date) RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT parent || to_char(asked, '_YYYY_MM') $$;

-- Of a partition whose month stands in the trigger: asked once a statement, not once a row.
CREATE FUNCTION meter.refuse_closed_part() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM meter.closed_month WHERE month >= TG_ARGV[0]::date) THEN
        RAISE EXCEPTION 'the month % is closed', left(TG_ARGV[0], 7);
    END IF;
    RETURN NULL;
END $$;

-- How many months after the running one may be opened: a clock that is a day ahead finds its month.
CREATE FUNCTION meter.months_ahead_max() RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT 1 $$;

-- The month in which the first member joined: nothing was counted before.
CREATE FUNCTION meter.founded() RETURNS date LANGUAGE sql STABLE AS $$
    SELECT coalesce(date_trunc('month', min(joined_at) AT TIME ZONE 'UTC')::date, date '2000-01-01')
    FROM meter.member
$$;

-- Makes a month's partitions. Attached, not created in place: that would wait for every reader.
CREATE FUNCTION meter.make_month(asked date) RETURNS void LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parent text;
    part   text;
BEGIN
    PERFORM pg_advisory_xact_lock(1836019316);  -- "mont": one at a time
    IF EXISTS (SELECT FROM meter.month WHERE month = asked) THEN
        RETURN;
    END IF;
    FOREACH parent IN ARRAY ARRAY['reading', 'storage', 'reading_day', 'storage_day'] LOOP
        part := meter.part_name(parent, asked);
        EXECUTE format('CREATE TABLE meter.%I (LIKE meter.%I INCLUDING ALL, CHECK (period = %L))',
                       part, parent, asked);
        EXECUTE format('ALTER TABLE meter.%I ATTACH PARTITION meter.%I FOR VALUES FROM (%L) TO (%L)',
                       parent, part, asked, (asked + interval '1 month')::date);
        EXECUTE format('CREATE TRIGGER no_delete BEFORE DELETE OR TRUNCATE ON meter.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION meter.refuse_change()', part);
        EXECUTE format('GRANT SELECT ON meter.%I TO weir_meter, weir_billing', part);
    END LOOP;
    FOREACH parent IN ARRAY ARRAY['reading', 'storage'] LOOP
        part := meter.part_name(parent, asked);
        EXECUTE format('CREATE TRIGGER carry_inserted AFTER INSERT ON meter.%I REFERENCING NEW TABLE AS fresh
                        FOR EACH STATEMENT EXECUTE FUNCTION meter.%I(%L)',
                       part, parent || '_inserted', meter.part_name(parent || '_day', asked));
        EXECUTE format('CREATE TRIGGER carry_updated AFTER UPDATE ON meter.%I
                        REFERENCING OLD TABLE AS stale NEW TABLE AS fresh
                        FOR EACH STATEMENT EXECUTE FUNCTION meter.%I(%L)',
                       part, parent || '_updated', meter.part_name(parent || '_day', asked));
        part := meter.part_name(parent || '_day', asked);
        EXECUTE format('CREATE TRIGGER refuse_closed BEFORE INSERT OR UPDATE ON meter.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION meter.refuse_closed_part(%L)', part, asked);
    END LOOP;
    EXECUTE format('GRANT INSERT, UPDATE (delta, moment) ON meter.%I TO weir_meter',
                   meter.part_name('storage', asked));
    EXECUTE format('GRANT INSERT, UPDATE (requests, failures, aborts, bytes_in, bytes_out, moved_in, moved_out)
                    ON meter.%I TO weir_meter', meter.part_name('reading', asked));
    INSERT INTO meter.month (month) VALUES (asked);
END $$;

-- What the shipper calls: makes sure that an open month within the limits can take its sums.
CREATE FUNCTION meter.ensure_month(asked date) RETURNS void LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM meter.month WHERE month = asked) THEN
        RETURN;
    END IF;
    IF extract(day FROM asked) <> 1 OR asked < date '2000-01-01'
       OR asked > greatest(
           date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => meter.months_ahead_max()),
           (SELECT max(month) + interval '1 month' FROM meter.closed_month)
       ) THEN
        RAISE EXCEPTION 'the month % cannot be opened yet', to_char(asked, 'YYYY-MM');
    END IF;
    IF EXISTS (SELECT FROM meter.closed_month WHERE month >= asked) THEN
        RAISE EXCEPTION 'the month % is closed', to_char(asked, 'YYYY-MM');
    END IF;
    PERFORM meter.make_month(asked);
END $$;

-- What is carried along with the sums, in the statement that changes them: days, what was stored, what came late.
CREATE FUNCTION meter.reading_days_sql(day_part text, source text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format(
        'INSERT INTO meter.%I AS held
            SELECT period, payer, date_trunc(''day'', hour, ''UTC''), bucket, operation, class, zone,
                sum(requests)::bigint, sum(failures)::bigint, sum(aborts)::bigint, sum(bytes_in)::bigint,
                sum(bytes_out)::bigint, sum(moved_in)::bigint, sum(moved_out)::bigint, correction
            FROM (%s) AS moved GROUP BY 1, 2, 3, 4, 5, 6, 7, 15 ORDER BY 1, 2, 3, 4, 5, 6, 7, 15
        ON CONFLICT (payer, day, period, bucket, operation, class, zone, correction) DO UPDATE SET
            requests = held.requests + excluded.requests, failures = held.failures + excluded.failures,
            aborts = held.aborts + excluded.aborts, bytes_in = held.bytes_in + excluded.bytes_in,
            bytes_out = held.bytes_out + excluded.bytes_out, moved_in = held.moved_in + excluded.moved_in,
            moved_out = held.moved_out + excluded.moved_out', day_part, source)
$$;
CREATE FUNCTION meter.storage_days_sql(day_part text, source text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format(
        'INSERT INTO meter.%I AS held
            SELECT period, member, date_trunc(''day'', hour, ''UTC''), bucket, line, sum(delta), sum(moment)
            FROM (%s) AS moved GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
        ON CONFLICT (member, day, period, bucket, line) DO UPDATE SET
            delta = held.delta + excluded.delta, moment = held.moment + excluded.moment', day_part, source)
$$;
CREATE FUNCTION meter.stored_sql(source text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format(
        'INSERT INTO meter.stored AS held (member, period, bucket, line, delta)
            SELECT member, period, bucket, line, sum(delta)
            FROM (%s) AS moved GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
        ON CONFLICT (member, period, bucket, line) DO UPDATE SET delta = held.delta + excluded.delta', source)
$$;
CREATE FUNCTION meter.late_sql() RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT 'INSERT INTO meter.late (month, period)
            SELECT DISTINCT date_trunc(''month'', hour AT TIME ZONE ''UTC'')::date, period FROM fresh
            WHERE hour < period::timestamp AT TIME ZONE ''UTC'' ORDER BY 1, 2
        ON CONFLICT DO NOTHING'
$$;
CREATE FUNCTION meter.reading_inserted() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE meter.reading_days_sql(TG_ARGV[0], 'SELECT * FROM fresh');
    EXECUTE meter.late_sql();
    RETURN NULL;
END $$;
CREATE FUNCTION meter.reading_updated() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE meter.reading_days_sql(TG_ARGV[0],
        'SELECT * FROM fresh UNION ALL SELECT period, payer, hour, bucket, operation, class, zone, -requests,
            -failures, -aborts, -bytes_in, -bytes_out, -moved_in, -moved_out, correction FROM stale');
    RETURN NULL;
END $$;
CREATE FUNCTION meter.storage_inserted() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE meter.storage_days_sql(TG_ARGV[0], 'SELECT * FROM fresh');
    EXECUTE meter.stored_sql('SELECT * FROM fresh');
    EXECUTE meter.late_sql();
    RETURN NULL;
END $$;
CREATE FUNCTION meter.storage_updated() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    moved text := 'SELECT * FROM fresh UNION ALL
        SELECT period, member, hour, bucket, line, -delta, -moment FROM stale';
BEGIN
    EXECUTE meter.storage_days_sql(TG_ARGV[0], moved);
    EXECUTE meter.stored_sql(moved);
    RETURN NULL;
END $$;

-- A closed month's partitions lose their writers: no role can write them, whatever it says in SQL.
CREATE FUNCTION meter.seal_months(last date) RETURNS void LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    sealed date;
BEGIN
    FOR sealed IN SELECT month FROM meter.month WHERE month <= last LOOP
        EXECUTE format('REVOKE INSERT, UPDATE ON meter.%I, meter.%I FROM weir_meter',
                       meter.part_name('reading', sealed), meter.part_name('storage', sealed));
    END LOOP;
END $$;
CREATE FUNCTION meter.seal_closed_month() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM meter.seal_months(NEW.month);
    RETURN NULL;
END $$;

-- The rows there are. By the parents, whose partitions' triggers then stay silent: what they carry is worked out here.
DO $$
DECLARE
    asked date;
BEGIN
    FOR asked IN
        SELECT period FROM meter.reading_unparted UNION SELECT period FROM meter.storage_unparted ORDER BY 1
    LOOP
        PERFORM meter.make_month(asked);
    END LOOP;
END $$;
INSERT INTO meter.reading SELECT * FROM meter.reading_unparted;
INSERT INTO meter.storage SELECT * FROM meter.storage_unparted;
INSERT INTO meter.late (month, period)
    SELECT DISTINCT date_trunc('month', hour AT TIME ZONE 'UTC')::date, period
    FROM (SELECT hour, period FROM meter.reading UNION ALL SELECT hour, period FROM meter.storage) AS counted
    WHERE hour < period::timestamp AT TIME ZONE 'UTC';
INSERT INTO meter.stored SELECT member, period, bucket, line, sum(delta) FROM meter.storage GROUP BY 1, 2, 3, 4;
INSERT INTO meter.reading_day
    SELECT period, payer, date_trunc('day', hour, 'UTC'), bucket, operation, class, zone, sum(requests), sum(failures),
        sum(aborts), sum(bytes_in), sum(bytes_out), sum(moved_in), sum(moved_out), correction
    FROM meter.reading GROUP BY 1, 2, 3, 4, 5, 6, 7, 15;
INSERT INTO meter.storage_day
    SELECT period, member, date_trunc('day', hour, 'UTC'), bucket, line, sum(delta), sum(moment)
    FROM meter.storage GROUP BY 1, 2, 3, 4, 5;
DROP TABLE meter.reading_unparted, meter.storage_unparted;
SELECT meter.seal_months(max(month)) FROM meter.closed_month;

-- The owner is refused too. Row triggers of a parent hold for each of its partitions, by whatever name it is written.
CREATE OR REPLACE FUNCTION meter.refuse_closed_month() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM meter.closed_month WHERE month >= NEW.period) THEN
        RAISE EXCEPTION 'the month % is closed', to_char(NEW.period, 'YYYY-MM');
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.payer, NEW.hour, NEW.period, NEW.bucket, NEW.operation, NEW.class, NEW.zone, NEW.correction)
           <> (OLD.payer, OLD.hour, OLD.period, OLD.bucket, OLD.operation, OLD.class, OLD.zone, OLD.correction) THEN
            RAISE EXCEPTION 'a reading keeps its key';
        END IF;
        IF NOT NEW.correction AND (
            NEW.requests < OLD.requests OR NEW.failures < OLD.failures OR NEW.aborts < OLD.aborts
            OR NEW.bytes_in < OLD.bytes_in OR NEW.bytes_out < OLD.bytes_out
            OR NEW.moved_in < OLD.moved_in OR NEW.moved_out < OLD.moved_out
        ) THEN
            RAISE EXCEPTION 'readings are only added to';
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE FUNCTION meter.refuse_closed_storage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM meter.closed_month WHERE month >= NEW.period) THEN
        RAISE EXCEPTION 'the month % is closed', to_char(NEW.period, 'YYYY-MM');
    END IF;
    IF TG_OP = 'UPDATE' AND (NEW.member, NEW.hour, NEW.period, NEW.bucket, NEW.line)
                         <> (OLD.member, OLD.hour, OLD.period, OLD.bucket, OLD.line) THEN
        RAISE EXCEPTION 'what is stored keeps its key';
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION meter.refuse_closed_stored() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM meter.closed_month WHERE month >= NEW.period) THEN
        RAISE EXCEPTION 'the month % is closed', to_char(NEW.period, 'YYYY-MM');
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION meter.refuse_parent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'meter.% is written by the partitions of its months, whose triggers carry the sums', TG_TABLE_NAME;
END $$;
CREATE TRIGGER reading_is_only_added_to BEFORE INSERT OR UPDATE ON meter.reading
    FOR EACH ROW EXECUTE FUNCTION meter.refuse_closed_month();
CREATE TRIGGER storage_is_only_added_to BEFORE INSERT OR UPDATE ON meter.storage
    FOR EACH ROW EXECUTE FUNCTION meter.refuse_closed_storage();
CREATE TRIGGER stored_is_only_added_to BEFORE INSERT OR UPDATE ON meter.stored
    FOR EACH ROW EXECUTE FUNCTION meter.refuse_closed_stored();
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['reading', 'storage', 'reading_day', 'storage_day', 'stored', 'month', 'late'] LOOP
        EXECUTE format('CREATE TRIGGER no_delete BEFORE DELETE OR TRUNCATE ON meter.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION meter.refuse_change()', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['reading', 'storage', 'reading_day', 'storage_day'] LOOP
        EXECUTE format('CREATE TRIGGER by_partition BEFORE INSERT OR UPDATE ON meter.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION meter.refuse_parent()', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['displaced', 'correction'] LOOP
        EXECUTE format('CREATE TRIGGER no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON meter.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION meter.refuse_change()', name);
    END LOOP;
END $$;
CREATE TRIGGER seal_closed_month AFTER INSERT ON meter.closed_month
    FOR EACH ROW EXECUTE FUNCTION meter.seal_closed_month();

-- Parents are only read: whoever writes names an open month's partition, and has been given it.
GRANT SELECT ON meter.reading, meter.storage, meter.reading_day, meter.storage_day, meter.month, meter.late, meter.stored, meter.displaced,
    meter.correction TO weir_meter, weir_billing;
GRANT INSERT ON meter.displaced, meter.correction TO weir_meter;
REVOKE EXECUTE ON FUNCTION meter.make_month, meter.ensure_month, meter.seal_months, meter.seal_closed_month,
    meter.reading_inserted, meter.reading_updated, meter.storage_inserted, meter.storage_updated FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meter.ensure_month TO weir_meter;
