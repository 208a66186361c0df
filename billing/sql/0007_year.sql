-- A month's closing of any size: one row a member, and a page that sums them. A year's closing likewise.

-- What one member used and was charged in a closed month. The text is what the digest stands for; class and amount
-- stand beside it because the year's closing adds them up. No foreign key to the register: a million of them would
-- lock a million lines of it, and no line of the register is ever removed.
CREATE TABLE billing.charge (
    period       date NOT NULL,
    member       bigint NOT NULL CHECK (member > 0),
    class        text NOT NULL,
    amount_minor bigint NOT NULL,
    document     text NOT NULL,
    digest       bytea NOT NULL CHECK (digest = sha256(convert_to(document, 'UTF8'))),
    PRIMARY KEY (period, member)
);

-- Of closings that sum such rows; those from before hold every member in their document.
ALTER TABLE billing.closing
    ADD COLUMN members bigint,
    ADD COLUMN members_digest bytea,
    ADD COLUMN charges_minor bigint,
    ADD CONSTRAINT all_or_none CHECK (num_nulls(members, members_digest, charges_minor) IN (0, 3));

-- Asked once a statement, not once a row.
CREATE FUNCTION billing.refuse_closed_charges() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    earliest date := (SELECT min(period) FROM added);
BEGIN
    PERFORM billing.lock_books();
    IF EXISTS (SELECT FROM billing.closing WHERE period >= earliest) THEN
        RAISE EXCEPTION 'the month % is closed', to_char(earliest, 'YYYY-MM') USING ERRCODE = 'WC001';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER open_period AFTER INSERT ON billing.charge REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_closed_charges();

-- The page against its rows, once more in the database: how many, how much, and the digest of their digests.
CREATE FUNCTION billing.refuse_other_charges() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    found record;
BEGIN
    IF NEW.members IS NULL THEN
        RAISE EXCEPTION 'a closing says how many members it sums, how much, and their digest';
    END IF;
    SELECT count(*) AS members, coalesce(sum(amount_minor), 0) AS amount,
           sha256(coalesce(string_agg(digest, ''::bytea ORDER BY member), ''::bytea)) AS digest
        INTO found FROM billing.charge WHERE period = NEW.period;
    IF found.members <> NEW.members OR found.amount <> NEW.charges_minor OR found.digest <> NEW.members_digest THEN
        RAISE EXCEPTION 'the closing of % sums % members and %, and there are % and %', to_char(NEW.period, 'YYYY-MM'),
            NEW.members, NEW.charges_minor, found.members, found.amount;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER sums_its_charges AFTER INSERT ON billing.closing
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_other_charges();

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['charge'] LOOP
        EXECUTE format('CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change()', name);
        EXECUTE format('GRANT SELECT, INSERT ON billing.%I TO weir_billing', name);
    END LOOP;
END $$;
