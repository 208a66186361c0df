-- What a thousand shippers and a million members need: the month of the founding without a look at every member, and
-- no statement for rows that are not there.

-- meter.founded() is asked in each transaction of each shipper.
CREATE INDEX member_by_joining ON meter.member (joined_at);

-- An upsert fires the triggers of both its halves, also of the one that met no row; and hardly ever is anything late.
CREATE OR REPLACE FUNCTION meter.reading_inserted() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM fresh) THEN
        RETURN NULL;
    END IF;
    EXECUTE meter.reading_days_sql(TG_ARGV[0], 'SELECT * FROM fresh');
    IF EXISTS (SELECT FROM fresh WHERE hour < period::timestamp AT TIME ZONE 'UTC') THEN
        EXECUTE meter.late_sql();
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION meter.reading_updated() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM fresh) THEN
        RETURN NULL;
    END IF;
    EXECUTE meter.reading_days_sql(TG_ARGV[0],
        'SELECT * FROM fresh UNION ALL SELECT period, payer, hour, bucket, operation, class, zone, -requests,
            -failures, -aborts, -bytes_in, -bytes_out, -moved_in, -moved_out, correction FROM stale');
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION meter.storage_inserted() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM fresh) THEN
        RETURN NULL;
    END IF;
    EXECUTE meter.storage_days_sql(TG_ARGV[0], 'SELECT * FROM fresh');
    EXECUTE meter.stored_sql('SELECT * FROM fresh');
    IF EXISTS (SELECT FROM fresh WHERE hour < period::timestamp AT TIME ZONE 'UTC') THEN
        EXECUTE meter.late_sql();
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION meter.storage_updated() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    moved text := 'SELECT * FROM fresh UNION ALL
        SELECT period, member, hour, bucket, line, -delta, -moment FROM stale';
BEGIN
    IF NOT EXISTS (SELECT FROM fresh) THEN
        RETURN NULL;
    END IF;
    EXECUTE meter.storage_days_sql(TG_ARGV[0], moved);
    EXECUTE meter.stored_sql(moved);
    RETURN NULL;
END $$;

-- Whether the month is closed is asked once a statement, of the partition, as of days and samples; a parent is written
-- by nobody (by_partition). And whether a row is only added to is asked without calling a function for each row.
CREATE FUNCTION meter.guard_month(asked date) RETURNS void LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parent text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['reading', 'storage'] LOOP
        EXECUTE format('CREATE TRIGGER refuse_closed BEFORE INSERT OR UPDATE ON meter.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION meter.refuse_closed_part(%L)',
                       meter.part_name(parent, asked), asked);
    END LOOP;
END $$;
CREATE FUNCTION meter.guard_opened() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM meter.guard_month(NEW.month);
    RETURN NULL;
END $$;
SELECT meter.guard_month(month) FROM meter.month;
CREATE TRIGGER guard_opened AFTER INSERT ON meter.month FOR EACH ROW EXECUTE FUNCTION meter.guard_opened();
REVOKE EXECUTE ON FUNCTION meter.guard_month, meter.guard_opened FROM PUBLIC;

DROP TRIGGER reading_is_only_added_to ON meter.reading;
CREATE TRIGGER reading_is_only_added_to BEFORE UPDATE ON meter.reading FOR EACH ROW
    WHEN ((NEW.payer, NEW.hour, NEW.period, NEW.bucket, NEW.operation, NEW.class, NEW.zone, NEW.correction)
          <> (OLD.payer, OLD.hour, OLD.period, OLD.bucket, OLD.operation, OLD.class, OLD.zone, OLD.correction)
          OR NOT NEW.correction AND (
              NEW.requests < OLD.requests OR NEW.failures < OLD.failures OR NEW.aborts < OLD.aborts
              OR NEW.bytes_in < OLD.bytes_in OR NEW.bytes_out < OLD.bytes_out
              OR NEW.moved_in < OLD.moved_in OR NEW.moved_out < OLD.moved_out))
    EXECUTE FUNCTION meter.refuse_closed_month();
DROP TRIGGER storage_is_only_added_to ON meter.storage;
CREATE TRIGGER storage_is_only_added_to BEFORE UPDATE ON meter.storage FOR EACH ROW
    WHEN ((NEW.member, NEW.hour, NEW.period, NEW.bucket, NEW.line)
          <> (OLD.member, OLD.hour, OLD.period, OLD.bucket, OLD.line))
    EXECUTE FUNCTION meter.refuse_closed_storage();
DROP TRIGGER sample_is_only_added_to ON meter.sample;
CREATE TRIGGER sample_is_only_added_to BEFORE UPDATE ON meter.sample FOR EACH ROW
    WHEN ((NEW.period, NEW.slot, NEW.payer, NEW.zone) <> (OLD.period, OLD.slot, OLD.payer, OLD.zone)
          OR NEW.bytes_in < OLD.bytes_in OR NEW.bytes_out < OLD.bytes_out)
    EXECUTE FUNCTION meter.refuse_closed_sample();
