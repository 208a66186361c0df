-- The whole books: entries chained by hash, one serial writer, checked set by set so that a million members' month
-- is one check and not a million. It replaces four triggers of 0001 that looked at one row each by their equals.

CREATE FUNCTION billing.account_type(account text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE split_part(account, ':', 1)
        WHEN 'bank' THEN 'asset' WHEN 'receivable' THEN 'asset'
        WHEN 'payable' THEN 'liability' WHEN 'debt' THEN 'liability'
        WHEN 'shares' THEN 'equity' WHEN 'capital' THEN 'equity' WHEN 'retained' THEN 'equity'
        WHEN 'collective' THEN 'equity' WHEN 'reserve' THEN 'equity' WHEN 'fund' THEN 'equity'
        WHEN 'surplus' THEN 'equity' WHEN 'loss' THEN 'equity'
        WHEN 'revenue' THEN 'income' WHEN 'income' THEN 'income' WHEN 'adjustment' THEN 'income'
        WHEN 'cost' THEN 'expense' WHEN 'interest' THEN 'expense'
    END
$$;

-- An account of no known type would be missing from the balance sheet. Postings from before are not asked again.
ALTER TABLE billing.posting ADD CONSTRAINT posting_account_known
    CHECK (billing.account_type(account) IS NOT NULL) NOT VALID;

-- Fiscal years that are closed: nothing is dated into them any more.
CREATE TABLE billing.closed_year (
    year         integer PRIMARY KEY CHECK (year BETWEEN 2000 AND 9998),
    first_period date NOT NULL UNIQUE CHECK (first_period = date_trunc('month', first_period)::date),
    last_period  date NOT NULL UNIQUE CHECK (last_period = date_trunc('month', last_period)::date),
    closed_at    timestamptz NOT NULL,
    CHECK (last_period >= first_period)
);

CREATE FUNCTION billing.refuse_if_closed(own date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM billing.closing WHERE period >= own) THEN
        RAISE EXCEPTION 'the month % is closed', to_char(own, 'YYYY-MM') USING ERRCODE = 'WC001';
    END IF;
    IF EXISTS (SELECT FROM billing.closed_year WHERE last_period >= own) THEN
        RAISE EXCEPTION 'the month % lies in a fiscal year that is closed', to_char(own, 'YYYY-MM')
            USING ERRCODE = 'WC001';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION billing.refuse_closed_period() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.lock_books();
    PERFORM billing.refuse_if_closed(CASE TG_TABLE_NAME
        WHEN 'tariff' THEN (to_jsonb(NEW) ->> 'effective_from')::date ELSE (to_jsonb(NEW) ->> 'period')::date END);
    RETURN NEW;
END $$;

CREATE FUNCTION billing.refuse_year_out_of_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.lock_books();
    IF EXISTS (SELECT FROM billing.closed_year WHERE last_period >= NEW.first_period OR year >= NEW.year) THEN
        RAISE EXCEPTION 'the fiscal year % is closed, or one after it', NEW.year USING ERRCODE = 'WC001';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER a_in_order BEFORE INSERT ON billing.closed_year
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_year_out_of_order();

-- The chain. hash = SHA-256 of the text below, previous_hash = hash of the entry before; the first one's previous is
-- the head of 'ledger_start', which stands for all that was booked before there was a chain.
ALTER TABLE billing.entry ADD COLUMN previous_hash bytea, ADD COLUMN hash bytea;
ALTER TABLE billing.entry ADD CONSTRAINT entry_is_chained CHECK (
    previous_hash IS NOT NULL AND hash IS NOT NULL AND length(previous_hash) = 32 AND length(hash) = 32
) NOT VALID;

-- Lengths stand before what a person typed, so that no two entries have one text.
CREATE FUNCTION billing.entry_hash(
    number bigint, period date, kind text, idempotency_key text, memo text, booked_at timestamptz, previous bytea,
    sides text
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT sha256(convert_to(concat(
        'weir-entry-1', E'\n', number, E'\n', to_char(period, 'YYYY-MM'), E'\n', kind, E'\n',
        (extract(epoch FROM booked_at) * 1000000)::bigint, E'\n',
        length(idempotency_key), ':', idempotency_key, E'\n', length(memo), ':', memo, E'\n',
        encode(previous, 'hex'), E'\n', sides), 'UTF8'))
$$;

CREATE VIEW billing.entry_checked AS
    SELECT e.number, e.period, e.kind, e.memo, e.idempotency_key, e.postings, e.booked_at, e.previous_hash, e.hash,
        s.places, s.total, s.sides
    FROM billing.entry e CROSS JOIN LATERAL (
        SELECT count(*) AS places, coalesce(sum(p.amount_minor), 0) AS total,
            string_agg(p.account || ' ' || p.amount_minor, E'\n' ORDER BY p.place) AS sides
        FROM billing.posting p WHERE p.entry = e.number
    ) s;

CREATE TABLE billing.ledger_start (
    is_here boolean PRIMARY KEY CHECK (is_here),
    number  bigint NOT NULL,              -- of the last entry from before the chain; 0 when there was none
    hash    bytea NOT NULL CHECK (length(hash) = 32)
);

-- How far the ledger goes, and how far it was checked: equal whenever a transaction is over.
CREATE TABLE billing.ledger_head (
    is_here  boolean PRIMARY KEY CHECK (is_here),
    posted   bigint NOT NULL,
    verified bigint NOT NULL,
    hash     bytea NOT NULL CHECK (length(hash) = 32)
);

DO $$
DECLARE
    one  record;
    head bytea := decode(repeat('00', 32), 'hex');
    last bigint := 0;
BEGIN
    FOR one IN SELECT * FROM billing.entry_checked ORDER BY number LOOP
        head := billing.entry_hash(one.number, one.period, one.kind, one.idempotency_key, one.memo, one.booked_at,
            head, one.sides);
        last := one.number;
    END LOOP;
    INSERT INTO billing.ledger_start VALUES (true, last, head);
    INSERT INTO billing.ledger_head VALUES (true, last, last, head);
END $$;

-- Whoever writes entries is alone until the transaction ends, also who forgot to ask for it.
CREATE FUNCTION billing.write_alone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.lock_books();
    RETURN NULL;
END $$;

CREATE FUNCTION billing.take_entries() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    lowest   bigint;
    highest  bigint;
    many     bigint;
    earliest date;
    head     bigint;
BEGIN
    SELECT min(number), max(number), count(*), min(period) INTO lowest, highest, many, earliest FROM fresh;
    IF many = 0 THEN
        RETURN NULL;
    END IF;
    PERFORM billing.refuse_if_closed(earliest);
    SELECT posted INTO STRICT head FROM billing.ledger_head;
    IF lowest <> head + 1 OR highest <> head + many THEN
        RAISE EXCEPTION 'entries are numbered without gaps: entry % comes next, not %', head + 1,
            CASE WHEN lowest <> head + 1 THEN lowest ELSE highest END;
    END IF;
    UPDATE billing.ledger_head SET posted = highest;
    RETURN NULL;
END $$;

CREATE FUNCTION billing.take_postings() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    lowest bigint;
BEGIN
    SELECT min(entry) INTO lowest FROM fresh;
    IF lowest <= (SELECT verified FROM billing.ledger_head) THEN
        RAISE EXCEPTION 'entry % is complete; it takes no further posting', lowest;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION billing.refuse_broken_entries() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    head record;
    bad  record;
BEGIN
    SELECT * INTO STRICT head FROM billing.ledger_head;
    SELECT * INTO bad FROM (
        SELECT c.number, c.postings, c.places, c.total,
            c.previous_hash IS DISTINCT FROM lag(c.hash, 1, head.hash) OVER (ORDER BY c.number) AS is_unlinked,
            c.hash IS DISTINCT FROM billing.entry_hash(c.number, c.period, c.kind, c.idempotency_key, c.memo,
                c.booked_at, c.previous_hash, c.sides) AS is_altered
        FROM billing.entry_checked c WHERE c.number > head.verified
    ) checked WHERE places <> postings OR total <> 0 OR is_unlinked OR is_altered ORDER BY number LIMIT 1;
    IF bad.places <> bad.postings THEN
        RAISE EXCEPTION 'entry % has % of its % postings', bad.number, bad.places, bad.postings;
    ELSIF bad.total <> 0 THEN
        RAISE EXCEPTION 'entry % does not balance: its postings sum to %', bad.number, bad.total;
    ELSIF bad.is_unlinked THEN
        RAISE EXCEPTION 'entry % does not name the hash of the entry before it', bad.number;
    ELSIF bad.is_altered THEN
        RAISE EXCEPTION 'entry % is not what its hash was made of', bad.number;
    END IF;
    UPDATE billing.ledger_head SET verified = posted,
        hash = coalesce((SELECT e.hash FROM billing.entry e WHERE e.number = posted), hash);
    RETURN NULL;
END $$;

-- What runs as the owner must not be hung on a table of somebody else.
REVOKE EXECUTE ON FUNCTION billing.take_entries(), billing.take_postings(), billing.refuse_broken_entries() FROM PUBLIC;

DROP TRIGGER a_open_period ON billing.entry;
DROP TRIGGER b_next_number ON billing.entry;
DROP TRIGGER no_extra_posting ON billing.posting;
DROP TRIGGER balances ON billing.entry;
DROP FUNCTION billing.refuse_extra_posting();
DROP FUNCTION billing.refuse_unbalanced();

CREATE TRIGGER a_alone BEFORE INSERT ON billing.entry
    FOR EACH STATEMENT EXECUTE FUNCTION billing.write_alone();
CREATE TRIGGER taken AFTER INSERT ON billing.entry REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION billing.take_entries();
CREATE TRIGGER taken AFTER INSERT ON billing.posting REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION billing.take_postings();
CREATE CONSTRAINT TRIGGER entries_hold AFTER UPDATE ON billing.ledger_head
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.posted > NEW.verified)
    EXECUTE FUNCTION billing.refuse_broken_entries();
CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.ledger_start
    FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change();
CREATE TRIGGER only_moved BEFORE DELETE OR TRUNCATE ON billing.ledger_head
    FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change();
CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.closed_year
    FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change();

GRANT SELECT ON billing.entry_checked, billing.ledger_start, billing.ledger_head TO weir_billing;
GRANT SELECT, INSERT ON billing.closed_year TO weir_billing;
