-- How the co-op was founded by one command: what it is called, of which answers, and which steps are done. A step's row
-- is written in the transaction of the step itself, so a founding that was killed goes on where it was and does nothing
-- twice. The answers hold addresses and are not kept here; their digest says that it is still the same founding.
CREATE TABLE billing.founding (
    number     smallint PRIMARY KEY DEFAULT 1 CHECK (number = 1),
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    answers    bytea NOT NULL CHECK (length(answers) = 32),   -- SHA-256
    began_at   timestamptz NOT NULL
);

CREATE TABLE billing.founding_step (
    step    text PRIMARY KEY CHECK (length(step) BETWEEN 1 AND 100),
    result  text NOT NULL CHECK (length(result) <= 200),      -- what later steps need of it, such as a resolution's id
    done_at timestamptz NOT NULL
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['founding', 'founding_step'] LOOP
        EXECUTE format('CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change()', name);
        EXECUTE format('GRANT SELECT ON billing.%I TO weir_billing', name);
        EXECUTE format('GRANT INSERT ON billing.%I TO weir_office', name);
    END LOOP;
END $$;
