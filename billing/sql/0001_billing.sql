-- Tariffs, invoices, the ledger, closings and statements: all of them only added to, by trigger and by grant.

CREATE SCHEMA billing;
GRANT USAGE ON SCHEMA billing TO weir_billing;

-- One writer at a time for everything whose order or number matters. The key is "book" in ASCII.
CREATE FUNCTION billing.lock_books() RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(1651470187);
$$;

CREATE TABLE billing.closing (
    period    date PRIMARY KEY CHECK (period = date_trunc('month', period)::date),
    document  text NOT NULL,              -- canonical JSON, byte for byte what the digest inside stands for
    digest    text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    closed_at timestamptz NOT NULL
);

CREATE TABLE billing.tariff (
    number         bigint PRIMARY KEY,
    effective_from date NOT NULL CHECK (effective_from = date_trunc('month', effective_from)::date),
    currency       text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    document       text NOT NULL,         -- the TOML it is read from
    set_at         timestamptz NOT NULL
);
CREATE INDEX tariff_in_force ON billing.tariff (effective_from DESC, number DESC);

CREATE TABLE billing.invoice (
    number       bigint PRIMARY KEY,
    period       date NOT NULL CHECK (period = date_trunc('month', period)::date),
    pool         text NOT NULL CHECK (pool ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency     text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    memo         text NOT NULL CHECK (length(memo) <= 500),
    booked_at    timestamptz NOT NULL
);
CREATE INDEX invoice_by_period ON billing.invoice (period, number);

-- What one member was told about a closed month.
CREATE TABLE billing.statement (
    member   bigint NOT NULL REFERENCES meter.member,
    period   date NOT NULL REFERENCES billing.closing DEFERRABLE INITIALLY DEFERRED,
    document text NOT NULL,               -- canonical JSON
    digest   text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    PRIMARY KEY (member, period)
);
CREATE INDEX statement_by_period ON billing.statement (period);

-- An entry says how many postings it has. With one place a posting nothing can be added to it later,
-- and one check at commit covers the whole of it, however long it is.
CREATE TABLE billing.entry (
    number          bigint PRIMARY KEY,   -- running, without gaps
    period          date NOT NULL CHECK (period = date_trunc('month', period)::date),
    kind            text NOT NULL CHECK (kind ~ '^[a-z-]{1,32}$'),
    memo            text NOT NULL,
    idempotency_key text NOT NULL UNIQUE,
    postings        integer NOT NULL CHECK (postings >= 2),
    booked_at       timestamptz NOT NULL
);
CREATE INDEX entry_by_period ON billing.entry (period, number);

CREATE TABLE billing.posting (
    entry        bigint NOT NULL REFERENCES billing.entry,
    place        integer NOT NULL CHECK (place >= 1),
    account      text NOT NULL CHECK (account ~ '^[a-z0-9_-]+(:[a-z0-9_-]+)+$'),
    amount_minor bigint NOT NULL CHECK (amount_minor <> 0),   -- debit above zero, credit below
    PRIMARY KEY (entry, place)
);
CREATE INDEX posting_by_account ON billing.posting (account);

CREATE FUNCTION billing.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is only added to; % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP;
END $$;

CREATE FUNCTION billing.refuse_closed_period() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    own date := CASE TG_TABLE_NAME WHEN 'tariff' THEN (to_jsonb(NEW) ->> 'effective_from')::date
                ELSE (to_jsonb(NEW) ->> 'period')::date END;
BEGIN
    PERFORM billing.lock_books();
    IF EXISTS (SELECT FROM billing.closing WHERE period >= own) THEN
        RAISE EXCEPTION 'the month % is closed', to_char(own, 'YYYY-MM') USING ERRCODE = 'WC001';
    END IF;
    RETURN NEW;
END $$;

-- Numbers are taken under the lock, never from a sequence: a gap would look like a removed document.
CREATE FUNCTION billing.next_number() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.lock_books();
    EXECUTE format('SELECT coalesce(max(number), 0) + 1 FROM billing.%I', TG_TABLE_NAME) INTO NEW.number;
    RETURN NEW;
END $$;

CREATE FUNCTION billing.refuse_unbalanced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    places bigint;
    total  numeric;
BEGIN
    SELECT count(*), coalesce(sum(amount_minor), 0) INTO places, total
        FROM billing.posting WHERE entry = NEW.number;
    IF places <> NEW.postings THEN
        RAISE EXCEPTION 'entry % has % of its % postings', NEW.number, places, NEW.postings;
    END IF;
    IF total <> 0 THEN
        RAISE EXCEPTION 'entry % does not balance: its postings sum to %', NEW.number, total;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION billing.refuse_extra_posting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.place > (SELECT postings FROM billing.entry WHERE number = NEW.entry) THEN
        RAISE EXCEPTION 'entry % has no place for a posting %', NEW.entry, NEW.place;
    END IF;
    RETURN NEW;
END $$;

-- Triggers of one table fire in alphabetical order: first the period, then the number.
CREATE TRIGGER a_open_period BEFORE INSERT ON billing.tariff
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_closed_period();
CREATE TRIGGER a_open_period BEFORE INSERT ON billing.invoice
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_closed_period();
CREATE TRIGGER a_open_period BEFORE INSERT ON billing.statement
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_closed_period();
CREATE TRIGGER a_open_period BEFORE INSERT ON billing.entry
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_closed_period();
CREATE TRIGGER a_open_period BEFORE INSERT ON billing.closing
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_closed_period();
CREATE TRIGGER b_next_number BEFORE INSERT ON billing.tariff
    FOR EACH ROW EXECUTE FUNCTION billing.next_number();
CREATE TRIGGER b_next_number BEFORE INSERT ON billing.invoice
    FOR EACH ROW EXECUTE FUNCTION billing.next_number();
CREATE TRIGGER b_next_number BEFORE INSERT ON billing.entry
    FOR EACH ROW EXECUTE FUNCTION billing.next_number();
CREATE TRIGGER no_extra_posting BEFORE INSERT ON billing.posting
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_extra_posting();
CREATE CONSTRAINT TRIGGER balances AFTER INSERT ON billing.entry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing.refuse_unbalanced();

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['tariff', 'invoice', 'closing', 'statement', 'entry', 'posting'] LOOP
        EXECUTE format('CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change()', name);
        EXECUTE format('GRANT SELECT, INSERT ON billing.%I TO weir_billing', name);
    END LOOP;
END $$;
