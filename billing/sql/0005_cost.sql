-- Invoices with supplier, document and parts by month; credit notes; cost pools with their keys; credits to members.

-- A credit note is an invoice below zero that names the one it takes back.
ALTER TABLE billing.invoice DROP CONSTRAINT invoice_amount_minor_check;
ALTER TABLE billing.invoice
    ADD COLUMN supplier        text NOT NULL DEFAULT '' CHECK (length(supplier) <= 200),
    ADD COLUMN dated           date,                     -- as it stands on the paper
    ADD COLUMN service_from    date,                     -- what it pays for: these days, the last one included
    ADD COLUMN service_to      date,
    ADD COLUMN credits         bigint REFERENCES billing.invoice,
    ADD COLUMN document_sha256 text CHECK (document_sha256 ~ '^[0-9a-f]{64}$'),
    ADD COLUMN document_name   text CHECK (length(document_name) BETWEEN 1 AND 255),
    ADD COLUMN document_bytes  bigint CHECK (document_bytes > 0),
    ADD COLUMN parts           integer NOT NULL DEFAULT 0 CHECK (parts >= 0),
    ADD CONSTRAINT invoice_amount_minor_check
        CHECK (amount_minor <> 0 AND (amount_minor < 0) = (credits IS NOT NULL)),
    ADD CONSTRAINT invoice_service_check
        CHECK ((service_from IS NULL) = (service_to IS NULL) AND service_from <= service_to),
    ADD CONSTRAINT invoice_document_check
        CHECK ((document_sha256 IS NULL) = (document_name IS NULL)
               AND (document_sha256 IS NULL) = (document_bytes IS NULL));
CREATE INDEX invoice_by_credited ON billing.invoice (credits) WHERE credits IS NOT NULL;

-- An invoice that pays for several months has a part in each; one without parts is whole in its period.
CREATE TABLE billing.invoice_part (
    invoice      bigint NOT NULL REFERENCES billing.invoice,
    place        integer NOT NULL CHECK (place >= 1),
    period       date NOT NULL CHECK (period = date_trunc('month', period)::date),
    amount_minor bigint NOT NULL,
    PRIMARY KEY (invoice, place),
    UNIQUE (invoice, period)
);
CREATE INDEX invoice_part_by_period ON billing.invoice_part (period, invoice);

CREATE FUNCTION billing.refuse_wrong_parts() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    places bigint;
    total  numeric;
BEGIN
    SELECT count(*), coalesce(sum(amount_minor), 0) INTO places, total
        FROM billing.invoice_part WHERE invoice = NEW.number;
    IF places <> NEW.parts THEN
        RAISE EXCEPTION 'invoice % has % of its % parts', NEW.number, places, NEW.parts;
    END IF;
    IF places > 0 AND total <> NEW.amount_minor THEN
        RAISE EXCEPTION 'invoice % is % and its parts sum to %', NEW.number, NEW.amount_minor, total;
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER parts_sum_up AFTER INSERT ON billing.invoice
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing.refuse_wrong_parts();

CREATE FUNCTION billing.refuse_extra_part() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.place > (SELECT parts FROM billing.invoice WHERE number = NEW.invoice) THEN
        RAISE EXCEPTION 'invoice % has no place for a part %', NEW.invoice, NEW.place;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER no_extra_part BEFORE INSERT ON billing.invoice_part
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_extra_part();

-- A credit note takes back no more than its invoice was, in the same pool and currency.
CREATE FUNCTION billing.refuse_wrong_credit_note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    original billing.invoice;
    taken    numeric;
BEGIN
    IF NEW.credits IS NULL THEN
        RETURN NEW;
    END IF;
    SELECT * INTO original FROM billing.invoice WHERE number = NEW.credits;
    IF original.credits IS NOT NULL OR original.pool <> NEW.pool OR original.currency <> NEW.currency THEN
        RAISE EXCEPTION 'a credit note names an invoice of its own pool and currency';
    END IF;
    SELECT coalesce(sum(amount_minor), 0) INTO taken FROM billing.invoice WHERE credits = NEW.credits;
    IF original.amount_minor + taken + NEW.amount_minor < 0 THEN
        RAISE EXCEPTION 'credit notes take back more than invoice % was', NEW.credits;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER c_credit_note BEFORE INSERT ON billing.invoice
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_wrong_credit_note();

-- From a month on, by which key a pool's costs are shared. The latest start that has come counts; of two, the last set.
CREATE TABLE billing.pool (
    number bigint PRIMARY KEY,
    name   text NOT NULL CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    period date NOT NULL CHECK (period = date_trunc('month', period)::date),
    key    text NOT NULL CHECK (length(key) BETWEEN 1 AND 500),
    memo   text NOT NULL CHECK (length(memo) <= 500),
    set_at timestamptz NOT NULL
);
CREATE INDEX pool_in_force ON billing.pool (name, period DESC, number DESC);

-- What a member was given; a line below zero on their charge of the month.
CREATE TABLE billing.credit (
    number       bigint PRIMARY KEY,
    member       bigint NOT NULL REFERENCES meter.member,
    period       date NOT NULL CHECK (period = date_trunc('month', period)::date),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency     text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    reason       text NOT NULL CHECK (length(reason) BETWEEN 1 AND 200),
    given_at     timestamptz NOT NULL
);
CREATE INDEX credit_by_period ON billing.credit (period, number);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['invoice_part', 'pool', 'credit'] LOOP
        EXECUTE format('CREATE TRIGGER a_open_period BEFORE INSERT ON billing.%I '
            'FOR EACH ROW EXECUTE FUNCTION billing.refuse_closed_period()', name);
        EXECUTE format('CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change()', name);
        EXECUTE format('GRANT SELECT, INSERT ON billing.%I TO weir_billing', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['pool', 'credit'] LOOP
        EXECUTE format('CREATE TRIGGER b_next_number BEFORE INSERT ON billing.%I '
            'FOR EACH ROW EXECUTE FUNCTION billing.next_number()', name);
    END LOOP;
END $$;
