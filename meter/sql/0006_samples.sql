-- What each payer moved in five minutes, by zone and direction: the share of a line's 95th percentile is worked out
-- of these. A month is a partition that is written only while it is open, as of readings. Only samples may go again,
-- once their month is closed: no statement is worked out of them.

CREATE TABLE meter.sample (
    period    date NOT NULL,
    slot      timestamptz NOT NULL CHECK (extract(epoch FROM slot) % 300 = 0),
    payer     bigint NOT NULL,
    zone      smallint NOT NULL,
    bytes_in  bigint NOT NULL CHECK (bytes_in >= 0),
    bytes_out bigint NOT NULL CHECK (bytes_out >= 0),
    PRIMARY KEY (slot, payer, zone, period)
) PARTITION BY RANGE (period);
GRANT SELECT ON meter.sample TO weir_meter, weir_billing;

CREATE FUNCTION meter.refuse_closed_sample() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.period, NEW.slot, NEW.payer, NEW.zone) <> (OLD.period, OLD.slot, OLD.payer, OLD.zone) THEN
        RAISE EXCEPTION 'a sample keeps its key';
    END IF;
    IF NEW.bytes_in < OLD.bytes_in OR NEW.bytes_out < OLD.bytes_out THEN
        RAISE EXCEPTION 'samples are only added to';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER sample_is_only_added_to BEFORE UPDATE ON meter.sample
    FOR EACH ROW EXECUTE FUNCTION meter.refuse_closed_sample();
CREATE TRIGGER no_delete BEFORE DELETE OR TRUNCATE ON meter.sample
    FOR EACH STATEMENT EXECUTE FUNCTION meter.refuse_change();
CREATE TRIGGER by_partition BEFORE INSERT OR UPDATE ON meter.sample
    FOR EACH STATEMENT EXECUTE FUNCTION meter.refuse_parent();

CREATE FUNCTION meter.make_sample_month(asked date) RETURNS void LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part text := meter.part_name('sample', asked);
BEGIN
    EXECUTE format('CREATE TABLE meter.%I (LIKE meter.sample INCLUDING ALL, CHECK (period = %L))', part, asked);
    EXECUTE format('ALTER TABLE meter.sample ATTACH PARTITION meter.%I FOR VALUES FROM (%L) TO (%L)',
                   part, asked, (asked + interval '1 month')::date);
    EXECUTE format('CREATE TRIGGER no_delete BEFORE DELETE OR TRUNCATE ON meter.%I
                    FOR EACH STATEMENT EXECUTE FUNCTION meter.refuse_change()', part);
    EXECUTE format('CREATE TRIGGER refuse_closed BEFORE INSERT OR UPDATE ON meter.%I
                    FOR EACH STATEMENT EXECUTE FUNCTION meter.refuse_closed_part(%L)', part, asked);
    EXECUTE format('GRANT SELECT ON meter.%I TO weir_meter, weir_billing', part);
    EXECUTE format('GRANT INSERT, UPDATE (bytes_in, bytes_out) ON meter.%I TO weir_meter', part);
END $$;

-- A month that is opened gets its samples' partition, and one that is closed loses its writers.
CREATE FUNCTION meter.open_samples() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM meter.make_sample_month(NEW.month);
    RETURN NULL;
END $$;
CREATE TRIGGER open_samples AFTER INSERT ON meter.month FOR EACH ROW EXECUTE FUNCTION meter.open_samples();

CREATE FUNCTION meter.seal_samples() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    sealed date;
BEGIN
    FOR sealed IN SELECT month FROM meter.month WHERE month <= NEW.month LOOP
        IF to_regclass('meter.' || meter.part_name('sample', sealed)) IS NOT NULL THEN
            EXECUTE format('REVOKE INSERT, UPDATE ON meter.%I FROM weir_meter', meter.part_name('sample', sealed));
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER seal_samples AFTER INSERT ON meter.closed_month
    FOR EACH ROW EXECUTE FUNCTION meter.seal_samples();

-- Lets the samples of a closed month go.
CREATE FUNCTION meter.drop_samples(asked date) RETURNS void LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM meter.closed_month WHERE month >= asked) THEN
        RAISE EXCEPTION 'the month % is open, and its samples stay', to_char(asked, 'YYYY-MM');
    END IF;
    EXECUTE format('DROP TABLE IF EXISTS meter.%I', meter.part_name('sample', asked));
END $$;

DO $$
DECLARE
    asked date;
BEGIN
    FOR asked IN SELECT month FROM meter.month
                 WHERE month > coalesce((SELECT max(month) FROM meter.closed_month), date '-infinity') LOOP
        PERFORM meter.make_sample_month(asked);
    END LOOP;
END $$;
REVOKE EXECUTE ON FUNCTION meter.make_sample_month, meter.open_samples, meter.seal_samples, meter.drop_samples
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meter.drop_samples TO weir_meter;
