-- What comes after a year's closing: retirement of capital, exits and estates, unclaimed money, notices.
-- All of it only added to. The money itself stands in the ledger; here stands why, and what is still to come.

-- One decision carried out: what was asked, what came of it, and which resolution wanted it. It says how many
-- lines it has, and each has its place, so that nothing can be added to it later (as with entries).
CREATE TABLE billing.capital_act (
    number          bigint PRIMARY KEY,   -- running, without gaps
    kind            text NOT NULL CHECK (kind IN ('carried', 'retirement', 'exit', 'estate', 'forfeit', 'claim', 'notices')),
    resolution      text NOT NULL CHECK (length(resolution) BETWEEN 1 AND 100),
    idempotency_key text NOT NULL UNIQUE,
    document        text NOT NULL,        -- canonical JSON of what was asked and the totals
    digest          text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    amount_minor    bigint NOT NULL CHECK (amount_minor >= 0),
    lines           integer NOT NULL CHECK (lines >= 0),
    made_at         timestamptz NOT NULL
);

-- What was paid back of which lot by a retirement, an exit or an estate; or what older books kept, carried into lots.
CREATE TABLE billing.capital_line (
    act          bigint NOT NULL REFERENCES billing.capital_act,
    place        integer NOT NULL CHECK (place >= 1),
    member       bigint NOT NULL REFERENCES meter.member,
    year         integer NOT NULL CHECK (year BETWEEN 1900 AND 9998),
    kind         text NOT NULL CHECK (kind IN ('qualified', 'nonqualified', 'plain')),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    PRIMARY KEY (act, place),
    UNIQUE (act, member, year, kind)
);
CREATE INDEX capital_line_by_member ON billing.capital_line (member, act);

-- A debt to somebody who left, or to their estate.
CREATE TABLE billing.capital_exit (
    act             bigint PRIMARY KEY REFERENCES billing.capital_act,
    member          bigint NOT NULL REFERENCES meter.member,
    left_on         date NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('exit', 'estate')),
    principal_minor bigint NOT NULL CHECK (principal_minor >= 0),
    rate            text NOT NULL CHECK (rate ~ '^[0-9]+/[0-9]+$'),   -- a year, an exact fraction
    instalments     integer NOT NULL CHECK (instalments BETWEEN 0 AND 100),
    UNIQUE (member, left_on)
);

-- Somebody said that they will leave. Nothing is owed for that yet.
CREATE TABLE billing.capital_request (
    number    bigint PRIMARY KEY,
    member    bigint NOT NULL REFERENCES meter.member,
    wanted_on date NOT NULL,
    why       text NOT NULL CHECK (length(why) <= 500),
    made_at   timestamptz NOT NULL
);
CREATE INDEX capital_request_by_member ON billing.capital_request (member, number);

CREATE TABLE billing.capital_instalment (
    act             bigint NOT NULL REFERENCES billing.capital_exit,
    place           integer NOT NULL CHECK (place >= 1),
    due_on          date NOT NULL,
    principal_minor bigint NOT NULL CHECK (principal_minor > 0),
    interest_minor  bigint NOT NULL CHECK (interest_minor >= 0),
    PRIMARY KEY (act, place)
);
CREATE INDEX capital_instalment_by_due ON billing.capital_instalment (due_on);

-- An instalment that fell due and was made payable, once.
CREATE TABLE billing.capital_due (
    act     bigint NOT NULL,
    place   integer NOT NULL,
    entry   bigint NOT NULL REFERENCES billing.entry,
    made_at timestamptz NOT NULL,
    PRIMARY KEY (act, place),
    FOREIGN KEY (act, place) REFERENCES billing.capital_instalment
);

-- Whether a member can be reached.
CREATE TABLE billing.capital_contact (
    number  bigint PRIMARY KEY,
    member  bigint NOT NULL REFERENCES meter.member,
    reached boolean NOT NULL,
    why     text NOT NULL CHECK (length(why) BETWEEN 1 AND 500),
    made_at timestamptz NOT NULL
);
CREATE INDEX capital_contact_by_member ON billing.capital_contact (member, number);

CREATE TABLE billing.capital_forfeit (
    act          bigint PRIMARY KEY REFERENCES billing.capital_act,
    member       bigint NOT NULL REFERENCES meter.member,
    rule         text NOT NULL,
    since        date NOT NULL,
    destination  text NOT NULL CHECK (destination ~ '^[a-z0-9_-]+(:[a-z0-9_-]+)+$'),
    listed       boolean NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0)
);
CREATE INDEX capital_forfeit_by_member ON billing.capital_forfeit (member);

-- What was forfeited and proved to be theirs after all.
CREATE TABLE billing.capital_claim (
    act          bigint NOT NULL REFERENCES billing.capital_act,
    place        integer NOT NULL CHECK (place >= 1),
    forfeit      bigint NOT NULL REFERENCES billing.capital_forfeit,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    PRIMARY KEY (act, place),
    UNIQUE (act, forfeit)
);
CREATE INDEX capital_claim_by_forfeit ON billing.capital_claim (forfeit);

CREATE TABLE billing.notice (
    member     bigint NOT NULL REFERENCES meter.member,
    year       integer NOT NULL CHECK (year BETWEEN 1900 AND 9998),
    act        bigint NOT NULL REFERENCES billing.capital_act,
    place      integer NOT NULL CHECK (place >= 1),
    document   text NOT NULL,             -- canonical JSON
    digest     text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    made_at    timestamptz NOT NULL,
    PRIMARY KEY (member, year),
    UNIQUE (act, place)
);
CREATE INDEX notice_by_year ON billing.notice (year, member);

-- A credit on the books that nobody was told of is no notice: each step has its evidence.
CREATE TABLE billing.notice_event (
    member   bigint NOT NULL,
    year     integer NOT NULL,
    place    integer NOT NULL,
    state    text NOT NULL CHECK (state IN ('sent', 'delivered', 'failed')),
    how      text NOT NULL CHECK (length(how) BETWEEN 1 AND 60),
    evidence text NOT NULL CHECK (length(btrim(evidence)) BETWEEN 1 AND 500),
    at       timestamptz NOT NULL,
    PRIMARY KEY (member, year, place),
    FOREIGN KEY (member, year) REFERENCES billing.notice
);

CREATE FUNCTION billing.refuse_wrong_lines() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    places    bigint;
    total     numeric;
    overdrawn text;
BEGIN
    CASE NEW.kind
        WHEN 'forfeit' THEN
            SELECT count(*), sum(amount_minor) INTO places, total FROM billing.capital_forfeit WHERE act = NEW.number;
        WHEN 'claim' THEN
            SELECT count(*), sum(amount_minor) INTO places, total FROM billing.capital_claim WHERE act = NEW.number;
        WHEN 'notices' THEN
            SELECT count(*), NEW.amount_minor INTO places, total FROM billing.notice WHERE act = NEW.number;
        ELSE
            SELECT count(*), sum(amount_minor) INTO places, total FROM billing.capital_line WHERE act = NEW.number;
    END CASE;
    IF places <> NEW.lines OR coalesce(total, 0) <> NEW.amount_minor THEN
        RAISE EXCEPTION 'act % is about % in % lines; there are % that sum to %',
            NEW.number, NEW.amount_minor, NEW.lines, places, coalesce(total, 0);
    END IF;
    IF NEW.kind IN ('exit', 'estate') AND NOT EXISTS (SELECT FROM billing.capital_exit WHERE act = NEW.number) THEN
        RAISE EXCEPTION 'act % names no debt', NEW.number;
    END IF;
    SELECT min(lot.account) INTO overdrawn FROM (
        SELECT account FROM billing.posting WHERE account IN
            (SELECT format('capital:member:%s:%s:%s', member, year, kind)
             FROM billing.capital_line WHERE act = NEW.number)
        GROUP BY account HAVING sum(amount_minor) > 0) AS lot;
    IF overdrawn IS NOT NULL THEN
        RAISE EXCEPTION 'act % takes more from % than there is', NEW.number, overdrawn;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION billing.refuse_wrong_schedule() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    places bigint;
    total  numeric;
BEGIN
    SELECT count(*), coalesce(sum(principal_minor), 0) INTO places, total
        FROM billing.capital_instalment WHERE act = NEW.act;
    IF places <> NEW.instalments OR total <> NEW.principal_minor THEN
        RAISE EXCEPTION 'the schedule of exit % pays % in % parts, the debt is % in %',
            NEW.act, total, places, NEW.principal_minor, NEW.instalments;
    END IF;
    RETURN NULL;
END $$;

-- Each table belongs to some kinds of act, and has the places the act (or the exit) said.
CREATE FUNCTION billing.refuse_extra_line() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wanted text[] := CASE TG_TABLE_NAME
        WHEN 'capital_line' THEN ARRAY['carried', 'retirement', 'exit', 'estate']
        WHEN 'capital_exit' THEN ARRAY['exit', 'estate']
        WHEN 'capital_forfeit' THEN ARRAY['forfeit'] WHEN 'capital_claim' THEN ARRAY['claim']
        ELSE ARRAY['notices'] END;
    own    billing.capital_act;
BEGIN
    SELECT * INTO own FROM billing.capital_act WHERE number = NEW.act;
    IF own.kind <> ALL (wanted) OR coalesce((to_jsonb(NEW) ->> 'place')::int, 1) > own.lines THEN
        RAISE EXCEPTION 'act % (%) has no place for this in %', NEW.act, own.kind, TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION billing.refuse_extra_instalment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.place > (SELECT instalments FROM billing.capital_exit WHERE act = NEW.act) THEN
        RAISE EXCEPTION 'exit % has no instalment %', NEW.act, NEW.place;
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION billing.refuse_excess_claim() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.lock_books();
    IF (SELECT coalesce(sum(amount_minor), 0) FROM billing.capital_claim WHERE forfeit = NEW.forfeit)
        + NEW.amount_minor > (SELECT amount_minor FROM billing.capital_forfeit WHERE act = NEW.forfeit) THEN
        RAISE EXCEPTION 'more is claimed than forfeit % was', NEW.forfeit;
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION billing.refuse_early_instalment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.made_at::date < (SELECT due_on FROM billing.capital_instalment
                            WHERE act = NEW.act AND place = NEW.place) THEN
        RAISE EXCEPTION 'instalment % of exit % is not due yet', NEW.place, NEW.act;
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION billing.refuse_wrong_step() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last text;
BEGIN
    PERFORM billing.lock_books();
    SELECT state INTO last FROM billing.notice_event
        WHERE member = NEW.member AND year = NEW.year ORDER BY place DESC LIMIT 1;
    IF NEW.state = 'sent' AND (last IS NULL OR last = 'failed')
        OR NEW.state IN ('delivered', 'failed') AND last = 'sent' THEN
        SELECT coalesce(max(place), 0) + 1 INTO NEW.place FROM billing.notice_event
            WHERE member = NEW.member AND year = NEW.year;
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a notice that is % cannot be %', coalesce(last, 'created'), NEW.state USING ERRCODE = 'WC006';
END $$;

CREATE TRIGGER b_next_number BEFORE INSERT ON billing.capital_act
    FOR EACH ROW EXECUTE FUNCTION billing.next_number();
CREATE TRIGGER b_next_number BEFORE INSERT ON billing.capital_request
    FOR EACH ROW EXECUTE FUNCTION billing.next_number();
CREATE TRIGGER b_next_number BEFORE INSERT ON billing.capital_contact
    FOR EACH ROW EXECUTE FUNCTION billing.next_number();
CREATE CONSTRAINT TRIGGER lines_sum AFTER INSERT ON billing.capital_act
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing.refuse_wrong_lines();
CREATE CONSTRAINT TRIGGER schedule_sums AFTER INSERT ON billing.capital_exit
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing.refuse_wrong_schedule();
CREATE TRIGGER no_extra_instalment BEFORE INSERT ON billing.capital_instalment
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_extra_instalment();
CREATE TRIGGER c_claimable BEFORE INSERT ON billing.capital_claim
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_excess_claim();
CREATE TRIGGER c_is_due BEFORE INSERT ON billing.capital_due
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_early_instalment();
CREATE TRIGGER c_next_step BEFORE INSERT ON billing.notice_event
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_wrong_step();

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['capital_line', 'capital_exit', 'capital_forfeit', 'capital_claim', 'notice'] LOOP
        EXECUTE format('CREATE TRIGGER no_extra_line BEFORE INSERT ON billing.%I '
            'FOR EACH ROW EXECUTE FUNCTION billing.refuse_extra_line()', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['capital_act', 'capital_line', 'capital_exit', 'capital_instalment', 'capital_due',
                                'capital_request', 'capital_contact', 'capital_forfeit', 'capital_claim', 'notice',
                                'notice_event'] LOOP
        EXECUTE format('CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change()', name);
        EXECUTE format('GRANT SELECT, INSERT ON billing.%I TO weir_billing', name);
    END LOOP;
END $$;
