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
    lowest  bigint;
    highest bigint;
    head    record;
BEGIN
    SELECT min(entry), max(entry) INTO lowest, highest FROM fresh;
    SELECT posted, verified INTO STRICT head FROM billing.ledger_head;
    IF lowest <= head.verified THEN
        RAISE EXCEPTION 'entry % is complete; it takes no further posting', lowest;
    ELSIF highest > head.posted THEN
        RAISE EXCEPTION 'there is no entry %', highest;
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
-- Entries up to ledger_head.posted are there without a gap and stay there, so a posting's entry is known without
-- being looked up a million times: a foreign key made writing a month take half as long again.
ALTER TABLE billing.posting DROP CONSTRAINT posting_entry_fkey;
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

-- Payments. Names and account numbers are sealed with the co-op's master key, which is not in the database.
CREATE TABLE billing.bank_account (
    number    bigint PRIMARY KEY,
    member    bigint REFERENCES meter.member,     -- NULL: the co-op's own
    sealed    bytea NOT NULL,
    last_four text NOT NULL CHECK (last_four ~ '^[0-9A-Z]{4}$'),
    set_at    timestamptz NOT NULL
);
CREATE INDEX bank_account_by_member ON billing.bank_account (member, number DESC);

CREATE TABLE billing.payment_batch (
    number      bigint PRIMARY KEY,
    message_id  text NOT NULL UNIQUE CHECK (message_id ~ '^[A-Z0-9-]{1,35}$'),
    execute_on  date NOT NULL,
    currency    text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    account     bigint NOT NULL REFERENCES billing.bank_account,
    made_at     timestamptz NOT NULL
);

CREATE TABLE billing.payment_order (
    batch        bigint NOT NULL REFERENCES billing.payment_batch,
    member       bigint NOT NULL REFERENCES meter.member,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    account      bigint NOT NULL REFERENCES billing.bank_account,
    end_to_end   text NOT NULL UNIQUE CHECK (end_to_end ~ '^[A-Z0-9-]{1,35}$'),
    PRIMARY KEY (batch, member)
);
CREATE INDEX payment_order_by_member ON billing.payment_order (member);

-- What became of an order. Without a row it waits at the bank.
CREATE TABLE billing.payment_outcome (
    batch   bigint NOT NULL,
    member  bigint NOT NULL,
    what    text NOT NULL CHECK (what IN ('paid', 'cancelled', 'returned')),
    entry   bigint REFERENCES billing.entry,
    told_at timestamptz NOT NULL,
    FOREIGN KEY (batch, member) REFERENCES billing.payment_order,
    CHECK ((what = 'cancelled') = (entry IS NULL))
);
CREATE INDEX payment_outcome_by_order ON billing.payment_outcome (batch, member);

CREATE TABLE billing.bank_line (
    number       bigint PRIMARY KEY,
    key          text NOT NULL UNIQUE CHECK (key ~ '^[0-9a-f]{64}$'),
    booked_on    date NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
    end_to_end   text NOT NULL CHECK (length(end_to_end) <= 35),
    sealed       bytea NOT NULL,          -- whose account, and the text
    imported_at  timestamptz NOT NULL
);

-- Which entry a line became. After a reversal of it the line may get another.
CREATE TABLE billing.bank_line_entry (
    line  bigint NOT NULL REFERENCES billing.bank_line,
    entry bigint NOT NULL UNIQUE REFERENCES billing.entry,
    PRIMARY KEY (line, entry)
);

-- An outcome whose entry was reversed is none: the order waits again.
CREATE VIEW billing.payment_state AS
    SELECT o.*, u.told FROM billing.payment_order o LEFT JOIN LATERAL (
        SELECT array_agg(u.what) AS told FROM billing.payment_outcome u
        WHERE u.batch = o.batch AND u.member = o.member AND NOT EXISTS (
            SELECT FROM billing.entry r WHERE r.idempotency_key = 'reversal:' || u.entry)) u ON true;

CREATE VIEW billing.payment_waiting AS
    SELECT batch, member, amount_minor, account, end_to_end FROM billing.payment_state WHERE told IS NULL;

CREATE VIEW billing.bank_line_open AS
    SELECT l.* FROM billing.bank_line l WHERE NOT EXISTS (
        SELECT FROM billing.bank_line_entry e WHERE e.line = l.number AND NOT EXISTS (
            SELECT FROM billing.entry r WHERE r.idempotency_key = 'reversal:' || e.entry));

-- What waits at the bank is never more than what the co-op owes: nothing is paid twice.
CREATE FUNCTION billing.refuse_overpayment() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    one record;
BEGIN
    SELECT ordered.member, ordered.total, owed.total AS owed INTO one
        FROM (SELECT w.member, sum(w.amount_minor) AS total FROM billing.payment_waiting w
            WHERE w.member IN (SELECT member FROM fresh) GROUP BY w.member) ordered
        CROSS JOIN LATERAL (SELECT coalesce(-sum(p.amount_minor), 0) AS total FROM billing.posting p
            WHERE p.account = 'payable:member:' || ordered.member) owed
        WHERE ordered.total > owed.total LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'member % is owed %, and % would wait at the bank', one.member, one.owed, one.total
            USING ERRCODE = 'WC002';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION billing.refuse_second_outcome() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    told text[];
BEGIN
    PERFORM billing.lock_books();
    SELECT s.told INTO told FROM billing.payment_state s WHERE s.batch = NEW.batch AND s.member = NEW.member;
    IF told IS DISTINCT FROM (CASE NEW.what WHEN 'returned' THEN ARRAY['paid'] END) THEN
        RAISE EXCEPTION 'the order of member % in batch % is %, and cannot become %', NEW.member, NEW.batch,
            coalesce(array_to_string(told, ', '), 'waiting'), NEW.what USING ERRCODE = 'WC003';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION billing.refuse_second_line() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.lock_books();
    IF NOT EXISTS (SELECT FROM billing.bank_line_open WHERE number = NEW.line) THEN
        RAISE EXCEPTION 'line % of the bank is booked already', NEW.line USING ERRCODE = 'WC003';
    END IF;
    IF (SELECT amount_minor FROM billing.bank_line WHERE number = NEW.line) IS DISTINCT FROM
        (SELECT sum(amount_minor) FROM billing.posting WHERE entry = NEW.entry AND account = 'bank:main') THEN
        RAISE EXCEPTION 'entry % does not move the money of line %', NEW.entry, NEW.line USING ERRCODE = 'WC003';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER b_next_number BEFORE INSERT ON billing.bank_account
    FOR EACH ROW EXECUTE FUNCTION billing.next_number();
CREATE TRIGGER b_next_number BEFORE INSERT ON billing.payment_batch
    FOR EACH ROW EXECUTE FUNCTION billing.next_number();
CREATE TRIGGER b_next_number BEFORE INSERT ON billing.bank_line
    FOR EACH ROW EXECUTE FUNCTION billing.next_number();
CREATE TRIGGER a_alone BEFORE INSERT ON billing.payment_order
    FOR EACH STATEMENT EXECUTE FUNCTION billing.write_alone();
CREATE TRIGGER owed AFTER INSERT ON billing.payment_order REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_overpayment();
CREATE TRIGGER a_waiting BEFORE INSERT ON billing.payment_outcome
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_second_outcome();
CREATE TRIGGER a_open_line BEFORE INSERT ON billing.bank_line_entry
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_second_line();

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['bank_account', 'payment_batch', 'payment_order', 'payment_outcome', 'bank_line',
        'bank_line_entry'] LOOP
        EXECUTE format('CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change()', name);
        EXECUTE format('GRANT SELECT, INSERT ON billing.%I TO weir_billing', name);
    END LOOP;
END $$;
GRANT SELECT ON billing.payment_state, billing.payment_waiting, billing.bank_line_open TO weir_billing;
