-- A pool that had no key in a closed month may be given one from that month on: no closing depends on keys, and months for
-- which nobody could say how the pool is shared would stay so for ever. A key that was in force stays what it was.
CREATE FUNCTION billing.refuse_key_of_closed_period() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.lock_books();
    IF EXISTS (SELECT FROM billing.pool WHERE name = NEW.name AND period <= NEW.period) THEN
        PERFORM billing.refuse_if_closed(NEW.period);
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER a_open_period ON billing.pool;
CREATE TRIGGER a_open_period BEFORE INSERT ON billing.pool
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_key_of_closed_period();
