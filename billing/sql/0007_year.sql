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
    ADD COLUMN lines bigint,
    ADD COLUMN lines_digest bytea,
    ADD COLUMN charges_minor bigint,
    ADD CONSTRAINT all_or_none CHECK (num_nulls(lines, lines_digest, charges_minor) IN (0, 3));

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
    IF NEW.lines IS NULL THEN
        RAISE EXCEPTION 'a closing says how many lines it sums, how much, and their digest';
    END IF;
    SELECT count(*) AS lines, coalesce(sum(amount_minor), 0) AS amount,
           sha256(coalesce(string_agg(digest, ''::bytea ORDER BY member), ''::bytea)) AS digest
        INTO found FROM billing.charge WHERE period = NEW.period;
    IF found.lines <> NEW.lines OR found.amount <> NEW.charges_minor OR found.digest <> NEW.lines_digest THEN
        RAISE EXCEPTION 'the closing of % sums % lines and %, and there are % and %', to_char(NEW.period, 'YYYY-MM'),
            NEW.lines, NEW.charges_minor, found.lines, found.amount;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER sums_its_charges AFTER INSERT ON billing.closing
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_other_charges();

-- A closed fiscal year: the page that says what follows from what, and a line of every member. Its resolution stands
-- beside the page and not in it, so that a resolution may name the digest of what it approves.
CREATE TABLE billing.year (
    year         integer PRIMARY KEY,
    first_period date NOT NULL UNIQUE,
    last_period  date NOT NULL UNIQUE,
    resolution   text NOT NULL CHECK (length(resolution) BETWEEN 1 AND 60),
    document     text NOT NULL,
    digest       text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    lines        bigint NOT NULL CHECK (lines >= 0),
    lines_digest bytea NOT NULL CHECK (length(lines_digest) = 32),
    shared_minor bigint NOT NULL,         -- what all members' lines were allocated together
    closed_at    timestamptz NOT NULL
);

CREATE TABLE billing.year_line (
    year         integer NOT NULL,
    member       bigint NOT NULL CHECK (member > 0),
    amount_minor bigint NOT NULL,
    document     text NOT NULL,
    digest       bytea NOT NULL CHECK (digest = sha256(convert_to(document, 'UTF8'))),
    PRIMARY KEY (year, member)
);

CREATE FUNCTION billing.refuse_closed_year_lines() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    earliest integer := (SELECT min(year) FROM added);
BEGIN
    PERFORM billing.lock_books();
    IF EXISTS (SELECT FROM billing.year WHERE year >= earliest) THEN
        RAISE EXCEPTION 'the fiscal year % is closed', earliest USING ERRCODE = 'WC001';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER open_year AFTER INSERT ON billing.year_line REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_closed_year_lines();

-- A year is closed after its months and in order, and its page sums the lines that are there.
CREATE FUNCTION billing.refuse_wrong_year() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    found record;
BEGIN
    PERFORM billing.lock_books();
    IF EXISTS (SELECT FROM billing.year WHERE year > NEW.year OR (year < NEW.year AND last_period >= NEW.first_period))
    THEN
        RAISE EXCEPTION 'a fiscal year after % is closed, or one that overlaps', NEW.year USING ERRCODE = 'WC001';
    END IF;
    IF NOT EXISTS (SELECT FROM billing.closing WHERE period = NEW.last_period) THEN
        RAISE EXCEPTION 'the month % is open', to_char(NEW.last_period, 'YYYY-MM');
    END IF;
    SELECT count(*) AS lines, coalesce(sum(amount_minor), 0) AS amount,
           sha256(coalesce(string_agg(digest, ''::bytea ORDER BY member), ''::bytea)) AS digest
        INTO found FROM billing.year_line WHERE year = NEW.year;
    IF found.lines <> NEW.lines OR found.amount <> NEW.shared_minor OR found.digest <> NEW.lines_digest THEN
        RAISE EXCEPTION 'the closing of % sums % lines and %, and there are % and %', NEW.year, NEW.lines,
            NEW.shared_minor, found.lines, found.amount;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER sums_its_lines AFTER INSERT ON billing.year
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_wrong_year();

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['charge', 'year', 'year_line'] LOOP
        EXECUTE format('CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change()', name);
        EXECUTE format('GRANT SELECT, INSERT ON billing.%I TO weir_billing', name);
    END LOOP;
END $$;
