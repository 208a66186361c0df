-- The register of members and shares: operations with one running number, resolutions, consents, hours of workers,
-- and which rule set the members chose. All of it is only added to, by trigger and by grant.

-- Kinds of shares. One is never changed: other terms are another kind.
CREATE TABLE billing.share_kind (
    name                    text PRIMARY KEY CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    par_minor               bigint NOT NULL CHECK (par_minor BETWEEN 1 AND 1000000000000),
    currency                text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    held_by                 text[] NOT NULL
        CHECK (cardinality(held_by) > 0 AND held_by <@ ARRAY['user', 'worker', 'supporter']),
    is_investment           boolean NOT NULL,      -- they stand in a register of their own
    interest_max_millionths bigint CHECK (interest_max_millionths BETWEEN 0 AND 1000000),   -- NULL: no cap of its own
    who                     text NOT NULL,
    made_at                 timestamptz NOT NULL
);

CREATE TABLE billing.operation (
    number       bigint PRIMARY KEY,               -- running, without gaps
    kind         text NOT NULL,
    member       bigint NOT NULL REFERENCES meter.member,
    classes      text[],                           -- from here on; the first is the one meter.member has
    share_kind   text REFERENCES billing.share_kind,
    quantity     bigint CHECK (quantity BETWEEN 1 AND 1000000000),
    amount_minor bigint CHECK (amount_minor >= 0), -- paid in, paid back, or what was paid on shares that move
    counterpart  bigint REFERENCES meter.member,   -- who gets the shares of a transfer
    to_kind      text REFERENCES billing.share_kind,
    to_quantity  bigint CHECK (to_quantity BETWEEN 1 AND 1000000000),
    corrects     bigint UNIQUE REFERENCES billing.operation,
    entry        bigint UNIQUE REFERENCES billing.entry,
    memo         text NOT NULL DEFAULT '' CHECK (length(memo) <= 500),
    who          text NOT NULL CHECK (length(who) BETWEEN 1 AND 100),
    effective_at timestamptz NOT NULL,             -- from when on it counts
    recorded_at  timestamptz NOT NULL,
    CHECK (classes IS NULL OR (
        cardinality(classes) > 0 AND classes <@ ARRAY['user', 'worker', 'supporter', 'customer']
        AND (cardinality(classes) = 1 OR NOT 'customer' = ANY (classes)))),
    -- Which columns an operation has, and no others.
    CHECK (CASE kind
        WHEN 'customer' THEN classes = ARRAY['customer'] AND num_nonnulls(share_kind, quantity, amount_minor,
            counterpart, to_kind, to_quantity, corrects, entry) = 0
        WHEN 'join' THEN NOT 'customer' = ANY (classes) AND num_nonnulls(share_kind, quantity, amount_minor,
            counterpart, to_kind, to_quantity, corrects, entry) = 0
        WHEN 'class' THEN classes IS NOT NULL AND num_nonnulls(share_kind, quantity, amount_minor,
            counterpart, to_kind, to_quantity, corrects, entry) = 0
        WHEN 'leave' THEN num_nonnulls(classes, share_kind, quantity, amount_minor, counterpart, to_kind,
            to_quantity, corrects, entry) = 0
        WHEN 'address' THEN num_nonnulls(classes, share_kind, quantity, amount_minor, counterpart, to_kind,
            to_quantity, corrects, entry) = 0
        WHEN 'subscription' THEN num_nulls(share_kind, quantity) = 0
            AND num_nonnulls(classes, amount_minor, counterpart, to_kind, to_quantity, corrects, entry) = 0
        WHEN 'payment' THEN num_nulls(share_kind, amount_minor, entry) = 0 AND amount_minor > 0
            AND num_nonnulls(classes, quantity, counterpart, to_kind, to_quantity, corrects) = 0
        WHEN 'transfer' THEN num_nulls(share_kind, quantity, amount_minor, counterpart) = 0
            AND counterpart <> member AND num_nonnulls(classes, to_kind, to_quantity, corrects) = 0
        WHEN 'redemption' THEN num_nulls(share_kind, quantity, amount_minor) = 0
            AND num_nonnulls(classes, counterpart, to_kind, to_quantity, corrects) = 0
        WHEN 'conversion' THEN num_nulls(share_kind, quantity, amount_minor, to_kind, to_quantity) = 0
            AND to_kind <> share_kind AND num_nonnulls(classes, counterpart, corrects, entry) = 0
        WHEN 'correction' THEN corrects IS NOT NULL
            AND num_nonnulls(classes, quantity, amount_minor, counterpart, to_kind, to_quantity) = 0
        ELSE false END),
    -- A change of class counts from the first instant of a month to come; nothing about shares is dated ahead.
    CHECK (kind <> 'class' OR (
        effective_at = date_trunc('month', effective_at, 'UTC') AND effective_at > recorded_at)),
    CHECK (share_kind IS NULL OR effective_at <= recorded_at)
);
CREATE INDEX operation_by_member ON billing.operation (member, effective_at, number);
CREATE INDEX operation_by_counterpart ON billing.operation (counterpart) WHERE counterpart IS NOT NULL;

-- Names and addresses as the law's register wants them. No room's own role may read this table.
CREATE TABLE billing.particulars (
    operation  bigint PRIMARY KEY REFERENCES billing.operation,   -- of kind join, customer or address
    member     bigint NOT NULL REFERENCES meter.member,
    legal_name text NOT NULL DEFAULT '' CHECK (length(legal_name) <= 200),
    postal     text NOT NULL DEFAULT '' CHECK (length(postal) <= 500),
    email      text NOT NULL DEFAULT '' CHECK (length(email) <= 254),
    purposes   text NOT NULL DEFAULT '' CHECK (length(purposes) <= 200)   -- what the e-mail address was given for
);
CREATE INDEX particulars_by_member ON billing.particulars (member, operation);

-- What each member holds now: kept by trigger, and worked out again by `weir register verify`.
CREATE TABLE billing.holding (
    member     bigint NOT NULL REFERENCES meter.member,
    share_kind text NOT NULL REFERENCES billing.share_kind,
    shares     bigint NOT NULL CHECK (shares >= 0),
    paid_minor bigint NOT NULL CHECK (paid_minor >= 0),
    PRIMARY KEY (member, share_kind)
);

-- What each operation does to a holding; a correction does the opposite of what it corrects, on its own day.
CREATE VIEW billing.share_effect AS
WITH plain AS (
    SELECT number, member, share_kind, quantity AS shares, 0::bigint AS paid_minor, effective_at
        FROM billing.operation WHERE kind = 'subscription'
    UNION ALL
    SELECT number, member, share_kind, 0, amount_minor, effective_at
        FROM billing.operation WHERE kind = 'payment'
    UNION ALL
    SELECT number, member, share_kind, -quantity, -amount_minor, effective_at
        FROM billing.operation WHERE kind IN ('redemption', 'transfer', 'conversion')
    UNION ALL
    SELECT number, counterpart, share_kind, quantity, amount_minor, effective_at
        FROM billing.operation WHERE kind = 'transfer'
    UNION ALL
    SELECT number, member, to_kind, to_quantity, amount_minor, effective_at
        FROM billing.operation WHERE kind = 'conversion'
)
SELECT * FROM plain
UNION ALL
SELECT own.number, plain.member, plain.share_kind, -plain.shares, -plain.paid_minor, own.effective_at
    FROM billing.operation AS own JOIN plain ON plain.number = own.corrects;

-- In which capacities somebody is in the register at an instant; NULL before they came and after they left.
CREATE FUNCTION billing.classes_at(wanted bigint, at timestamptz) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN EXISTS (
        SELECT FROM billing.operation WHERE member = wanted AND kind = 'leave' AND effective_at <= at
    ) THEN NULL ELSE (
        SELECT classes FROM billing.operation AS own
        WHERE member = wanted AND kind IN ('customer', 'join', 'class') AND effective_at <= at
            AND NOT EXISTS (SELECT FROM billing.operation WHERE corrects = own.number)
        ORDER BY effective_at DESC, number DESC LIMIT 1
    ) END;
$$;

CREATE FUNCTION billing.lock_register() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.lock_books();
    RETURN NULL;
END $$;

CREATE FUNCTION billing.refuse_gap() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    first bigint;
    last  bigint;
    many  bigint;
BEGIN
    SELECT min(number), max(number), count(*) INTO first, last, many FROM added;
    IF many > 0 AND (last - first + 1 <> many
            OR first <> coalesce((SELECT max(number) FROM billing.operation WHERE number < first), 0) + 1) THEN
        RAISE EXCEPTION 'operations are numbered without gaps; % to % leave one', first, last;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION billing.refuse_wrong_operation() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    corrected billing.operation;
    wanted    text := coalesce(NEW.to_kind, NEW.share_kind);
    receiver  bigint := coalesce(NEW.counterpart, NEW.member);
    own       text[];
BEGIN
    IF NEW.share_kind IS NOT NULL AND EXISTS (
        SELECT FROM billing.closing WHERE period >= date_trunc('month', NEW.effective_at, 'UTC')::date
    ) THEN
        RAISE EXCEPTION 'the month % is closed', to_char(NEW.effective_at AT TIME ZONE 'UTC', 'YYYY-MM')
            USING ERRCODE = 'WC001';
    END IF;
    IF NEW.kind IN ('subscription', 'transfer', 'conversion') THEN
        own := billing.classes_at(receiver, NEW.effective_at);
        IF own IS NULL OR NOT own && (SELECT held_by FROM billing.share_kind WHERE name = wanted) THEN
            RAISE EXCEPTION 'a share of kind % is not for member %, who is %', wanted, receiver,
                coalesce(array_to_string(own, ' and '), 'no member then');
        END IF;
    END IF;
    IF NEW.kind = 'conversion' AND (
        SELECT NEW.quantity * was.par_minor <> NEW.to_quantity * is_now.par_minor OR was.currency <> is_now.currency
        FROM billing.share_kind AS was, billing.share_kind AS is_now
        WHERE was.name = NEW.share_kind AND is_now.name = NEW.to_kind
    ) THEN
        RAISE EXCEPTION '% shares of kind % and % of kind % are not worth the same', NEW.quantity, NEW.share_kind,
            NEW.to_quantity, NEW.to_kind;
    END IF;
    IF NEW.kind = 'class' THEN
        IF billing.classes_at(NEW.member, NEW.recorded_at) IS NULL THEN
            RAISE EXCEPTION 'member % is not in the register', NEW.member;
        END IF;
        IF EXISTS (SELECT FROM billing.operation AS one WHERE member = NEW.member AND kind = 'class'
            AND effective_at > NEW.recorded_at AND NOT EXISTS (
                SELECT FROM billing.operation WHERE corrects = one.number)) THEN
            RAISE EXCEPTION 'a change of class of member % is waiting already', NEW.member;
        END IF;
        IF 'customer' = ANY (NEW.classes) AND EXISTS (
            SELECT FROM billing.holding WHERE member = NEW.member AND shares > 0) THEN
            RAISE EXCEPTION 'member % holds shares, and a customer holds none', NEW.member;
        END IF;
    END IF;
    IF NEW.kind = 'correction' THEN
        SELECT * INTO corrected FROM billing.operation WHERE number = NEW.corrects;
        IF corrected.number IS NULL OR corrected.member <> NEW.member
            OR corrected.share_kind IS DISTINCT FROM NEW.share_kind OR NEW.effective_at < corrected.effective_at
            OR corrected.kind NOT IN ('class', 'subscription', 'payment', 'transfer', 'redemption', 'conversion')
            OR (corrected.kind = 'class' AND corrected.effective_at <= NEW.recorded_at) THEN
            RAISE EXCEPTION 'operation % cannot be corrected so', NEW.corrects;
        END IF;
    END IF;
    RETURN NEW;
END $$;

-- Runs as the owner, so that nobody else needs to write holdings. The books must say the same as the register.
CREATE FUNCTION billing.hold_shares() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    one record;
    bad record;
BEGIN
    FOR one IN
        SELECT member, share_kind, sum(shares)::bigint AS shares, sum(paid_minor)::bigint AS paid_minor
        FROM billing.share_effect WHERE number = NEW.number GROUP BY member, share_kind ORDER BY member, share_kind
    LOOP
        SELECT ran.* INTO bad FROM (
            SELECT effective_at, sum(shares) OVER held AS shares, sum(paid_minor) OVER held AS paid_minor
            FROM billing.share_effect WHERE member = one.member AND share_kind = one.share_kind
            WINDOW held AS (ORDER BY effective_at, number)
        ) AS ran
        WHERE ran.shares < 0 OR ran.paid_minor < 0 OR ran.paid_minor >
            ran.shares * (SELECT par_minor FROM billing.share_kind WHERE name = one.share_kind)
        LIMIT 1;
        IF FOUND AND bad.shares < 0 THEN
            RAISE EXCEPTION 'member % would hold % shares of kind %', one.member, bad.shares, one.share_kind;
        ELSIF FOUND THEN
            RAISE EXCEPTION 'member % would have paid % on % shares of kind %', one.member, bad.paid_minor,
                bad.shares, one.share_kind;
        END IF;
        INSERT INTO billing.holding VALUES (one.member, one.share_kind, 0, 0) ON CONFLICT DO NOTHING;
        UPDATE billing.holding SET shares = shares + one.shares, paid_minor = paid_minor + one.paid_minor
            WHERE member = one.member AND share_kind = one.share_kind;
    END LOOP;
    IF EXISTS (
        SELECT FROM (
            SELECT 'shares:member:' || member AS account, sum(paid_minor) AS amount FROM billing.share_effect
            WHERE number = NEW.number GROUP BY 1 HAVING sum(paid_minor) <> 0
        ) AS told FULL JOIN (
            SELECT account, -sum(amount_minor) AS amount FROM billing.posting
            WHERE entry = NEW.entry AND account LIKE 'shares:%' GROUP BY 1 HAVING sum(amount_minor) <> 0
        ) AS booked USING (account)
        WHERE told.amount IS DISTINCT FROM booked.amount
    ) THEN
        RAISE EXCEPTION 'operation % and its entry in the books disagree about what was paid', NEW.number;
    END IF;
    RETURN NULL;
END $$;

-- meter.member keeps the class that is in force and the one that follows; both are what the register says.
CREATE FUNCTION billing.tell_class() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.kind = 'class' THEN
        UPDATE meter.member SET class = (billing.classes_at(id, NEW.recorded_at))[1],
            next_class = NEW.classes[1], next_class_from = NEW.effective_at WHERE id = NEW.member;
    ELSE
        UPDATE meter.member SET class = (billing.classes_at(id, NEW.recorded_at))[1],
            next_class = NULL, next_class_from = NULL WHERE id = NEW.member;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION billing.enter_members() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last bigint;
BEGIN
    PERFORM billing.lock_books();
    SELECT coalesce(max(number), 0) INTO last FROM billing.operation;
    INSERT INTO billing.operation (number, kind, member, classes, who, effective_at, recorded_at)
        SELECT last + row_number() OVER (ORDER BY joined_at, id),
            CASE class WHEN 'customer' THEN 'customer' ELSE 'join' END, id, ARRAY[class], session_user,
            joined_at, greatest(joined_at, now())
        FROM added;
    INSERT INTO billing.particulars (operation, member, email)
        SELECT own.number, added.id, added.email FROM added
        JOIN billing.operation AS own ON own.member = added.id AND own.number > last
        WHERE added.email <> '';
    -- Somebody entered as having left already, by a copy of a register.
    SELECT max(number) INTO last FROM billing.operation;
    INSERT INTO billing.operation (number, kind, member, who, effective_at, recorded_at)
        SELECT last + row_number() OVER (ORDER BY left_at, id), 'leave', id, session_user, left_at,
            greatest(left_at, now())
        FROM added WHERE left_at IS NOT NULL;
    RETURN NULL;
END $$;

CREATE FUNCTION billing.follow_members() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last  bigint;
    wrong bigint;
BEGIN
    SELECT is_now.id INTO wrong FROM is_now JOIN was USING (id)
    WHERE (is_now.class, is_now.next_class, is_now.next_class_from)
            IS DISTINCT FROM (was.class, was.next_class, was.next_class_from)
        AND (is_now.class IS DISTINCT FROM (billing.classes_at(is_now.id,
                coalesce(is_now.next_class_from - interval '1 microsecond', 'infinity')))[1]
            OR coalesce(is_now.next_class, is_now.class)
                IS DISTINCT FROM (billing.classes_at(is_now.id, 'infinity'))[1])
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the class of member % is changed by an operation of the register', wrong;
    END IF;
    SELECT is_now.id INTO wrong FROM is_now JOIN was USING (id)
    WHERE is_now.joined_at <> was.joined_at OR (was.left_at IS NOT NULL AND is_now.left_at IS DISTINCT FROM was.left_at)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'when member % came or left stands in the register and is not changed', wrong;
    END IF;
    IF EXISTS (SELECT FROM is_now JOIN was USING (id) WHERE is_now.left_at IS NOT NULL AND was.left_at IS NULL) THEN
        PERFORM billing.lock_books();
        SELECT coalesce(max(number), 0) INTO last FROM billing.operation;
        INSERT INTO billing.operation (number, kind, member, who, effective_at, recorded_at)
            SELECT last + row_number() OVER (ORDER BY is_now.left_at, is_now.id), 'leave', is_now.id, session_user,
                is_now.left_at, greatest(is_now.left_at, now())
            FROM is_now JOIN was USING (id) WHERE is_now.left_at IS NOT NULL AND was.left_at IS NULL;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION billing.refuse_member_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'nobody is removed from the register; % is refused', TG_OP;
END $$;

CREATE TRIGGER a_lock BEFORE INSERT ON billing.operation
    FOR EACH STATEMENT EXECUTE FUNCTION billing.lock_register();
CREATE TRIGGER b_right BEFORE INSERT ON billing.operation
    FOR EACH ROW WHEN (NEW.kind NOT IN ('customer', 'join', 'leave', 'address'))
    EXECUTE FUNCTION billing.refuse_wrong_operation();
CREATE TRIGGER c_held AFTER INSERT ON billing.operation
    FOR EACH ROW WHEN (NEW.share_kind IS NOT NULL) EXECUTE FUNCTION billing.hold_shares();
CREATE TRIGGER d_class AFTER INSERT ON billing.operation
    FOR EACH ROW WHEN (NEW.kind = 'class' OR (NEW.kind = 'correction' AND NEW.share_kind IS NULL))
    EXECUTE FUNCTION billing.tell_class();
CREATE TRIGGER e_no_gap AFTER INSERT ON billing.operation
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_gap();

-- Who is in the register already is entered in the order they came.
INSERT INTO billing.operation (number, kind, member, classes, who, effective_at, recorded_at)
    SELECT row_number() OVER (ORDER BY at, id, kind), kind, id, classes, session_user, at, greatest(at, now())
    FROM (
        SELECT CASE class WHEN 'customer' THEN 'customer' ELSE 'join' END AS kind, id, ARRAY[class] AS classes,
            joined_at AS at FROM meter.member
        UNION ALL
        SELECT 'leave', id, NULL, left_at FROM meter.member WHERE left_at IS NOT NULL
    ) AS known;
INSERT INTO billing.particulars (operation, member, email)
    SELECT number, member, email FROM billing.operation JOIN meter.member ON id = member
    WHERE kind IN ('customer', 'join') AND email <> '';

CREATE TRIGGER enter_in_register AFTER INSERT ON meter.member
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION billing.enter_members();
CREATE TRIGGER follow_in_register AFTER UPDATE ON meter.member
    REFERENCING OLD TABLE AS was NEW TABLE AS is_now FOR EACH STATEMENT EXECUTE FUNCTION billing.follow_members();
CREATE TRIGGER nobody_is_removed BEFORE DELETE OR TRUNCATE ON meter.member
    FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_member_removal();

-- What the board or the members' meeting decided. `id` is the year and a running number in it: 2026-3.
CREATE TABLE billing.resolution (
    id              text PRIMARY KEY,
    year            integer NOT NULL,
    place           integer NOT NULL CHECK (place >= 1),
    body            text NOT NULL CHECK (body IN ('board', 'meeting')),
    kind            text NOT NULL
        CHECK (kind IN ('tariff', 'rule-set', 'closing', 'allocation', 'retirement', 'other')),
    decided_on      date NOT NULL,
    text            text NOT NULL CHECK (length(text) BETWEEN 1 AND 20000),
    document_sha256 text CHECK (document_sha256 ~ '^[0-9a-f]{64}$'),
    document_name   text NOT NULL DEFAULT '' CHECK (length(document_name) <= 255),
    votes_for       integer CHECK (votes_for >= 0),
    votes_against   integer CHECK (votes_against >= 0),
    votes_abstained integer CHECK (votes_abstained >= 0),
    quorum          integer CHECK (quorum >= 1),
    calc_hash       text CHECK (calc_hash ~ '^[0-9a-f]{64}$'),
    who             text NOT NULL CHECK (length(who) BETWEEN 1 AND 100),
    recorded_at     timestamptz NOT NULL,
    UNIQUE (year, place),
    CHECK (id = year || '-' || place),
    CHECK (year = extract(year FROM decided_on)),
    CHECK (decided_on <= (recorded_at AT TIME ZONE 'UTC')::date),
    CHECK (num_nulls(votes_for, votes_against, votes_abstained) IN (0, 3)),
    CHECK (votes_for > votes_against),
    CHECK (votes_for + votes_against + votes_abstained >= quorum),
    CHECK (quorum IS NULL OR votes_for IS NOT NULL)
);

CREATE FUNCTION billing.next_resolution() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.lock_books();
    NEW.year := extract(year FROM NEW.decided_on);
    SELECT coalesce(max(place), 0) + 1 INTO NEW.place FROM billing.resolution WHERE year = NEW.year;
    NEW.id := NEW.year || '-' || NEW.place;
    RETURN NEW;
END $$;
CREATE TRIGGER b_next_number BEFORE INSERT ON billing.resolution
    FOR EACH ROW EXECUTE FUNCTION billing.next_resolution();

-- A member's consent to by-laws, with what proves that they were delivered; a withdrawal names the consent.
CREATE TABLE billing.consent (
    number          bigint PRIMARY KEY,
    member          bigint NOT NULL REFERENCES meter.member,
    bylaws          text NOT NULL CHECK (length(bylaws) BETWEEN 1 AND 60),
    delivered_on    date NOT NULL,
    how             text NOT NULL CHECK (how IN ('hand', 'post', 'e-mail', 'signed')),
    evidence_sha256 text CHECK (evidence_sha256 ~ '^[0-9a-f]{64}$'),
    evidence_name   text NOT NULL DEFAULT '' CHECK (length(evidence_name) <= 255),
    from_on         date NOT NULL,                 -- the first day it holds; of a withdrawal the first it does not
    withdraws       bigint UNIQUE REFERENCES billing.consent,
    who             text NOT NULL CHECK (length(who) BETWEEN 1 AND 100),
    recorded_at     timestamptz NOT NULL,
    CHECK (from_on >= delivered_on),
    CHECK (withdraws IS NOT NULL OR evidence_sha256 IS NOT NULL),
    CHECK (delivered_on <= (recorded_at AT TIME ZONE 'UTC')::date)
);
CREATE INDEX consent_by_member ON billing.consent (member, from_on);

CREATE FUNCTION billing.refuse_wrong_withdrawal() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    given billing.consent;
BEGIN
    SELECT * INTO given FROM billing.consent WHERE number = NEW.withdraws;
    IF given.number IS NULL OR given.withdraws IS NOT NULL OR NEW.from_on < given.from_on
        OR (given.member, given.bylaws, given.delivered_on) <> (NEW.member, NEW.bylaws, NEW.delivered_on) THEN
        RAISE EXCEPTION 'consent % cannot be withdrawn so', NEW.withdraws;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER a_right BEFORE INSERT ON billing.consent
    FOR EACH ROW WHEN (NEW.withdraws IS NOT NULL) EXECUTE FUNCTION billing.refuse_wrong_withdrawal();
CREATE TRIGGER b_next_number BEFORE INSERT ON billing.consent
    FOR EACH ROW EXECUTE FUNCTION billing.next_number();

-- Hours of workers: one figure a member and month; a later one names the figure it takes the place of.
CREATE TABLE billing.hours (
    number             bigint PRIMARY KEY,
    member             bigint NOT NULL REFERENCES meter.member,
    period             date NOT NULL CHECK (period = date_trunc('month', period)::date),
    thousandths        bigint NOT NULL CHECK (thousandths BETWEEN 0 AND 744000),
    factor_thousandths bigint NOT NULL CHECK (factor_thousandths BETWEEN 1 AND 1000000),
    corrects           bigint UNIQUE REFERENCES billing.hours,
    memo               text NOT NULL DEFAULT '' CHECK (length(memo) <= 500),
    who                text NOT NULL CHECK (length(who) BETWEEN 1 AND 100),
    recorded_at        timestamptz NOT NULL
);
CREATE UNIQUE INDEX hours_first ON billing.hours (member, period) WHERE corrects IS NULL;
CREATE INDEX hours_by_period ON billing.hours (period, member);

CREATE FUNCTION billing.refuse_wrong_hours() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM billing.hours WHERE number = NEW.corrects
        AND (member, period) = (NEW.member, NEW.period)) THEN
        RAISE EXCEPTION 'figure % is not of member % in %', NEW.corrects, NEW.member, to_char(NEW.period, 'YYYY-MM');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER a_right BEFORE INSERT ON billing.hours
    FOR EACH ROW WHEN (NEW.corrects IS NOT NULL) EXECUTE FUNCTION billing.refuse_wrong_hours();
CREATE TRIGGER b_next_number BEFORE INSERT ON billing.hours
    FOR EACH ROW EXECUTE FUNCTION billing.next_number();

-- Which rule set the members chose, from which fiscal year on, and what they chose within its bounds.
CREATE TABLE billing.rule_set_choice (
    number      bigint PRIMARY KEY,
    rule_set    text NOT NULL CHECK (rule_set ~ '^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$'),
    from_year   integer NOT NULL CHECK (from_year BETWEEN 2000 AND 9998),   -- named by the year it begins in
    first_month integer NOT NULL DEFAULT 1 CHECK (first_month BETWEEN 1 AND 12),
    resolution  text REFERENCES billing.resolution,
    document    text NOT NULL CHECK (length(document) <= 65536),   -- the rule set as it was then
    choices     text NOT NULL DEFAULT '' CHECK (length(choices) <= 65536),   -- TOML
    who         text NOT NULL CHECK (length(who) BETWEEN 1 AND 100),
    recorded_at timestamptz NOT NULL
);

CREATE FUNCTION billing.refuse_early_choice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.lock_books();
    -- At founding, and as long as nothing is closed, the members may still choose freely.
    IF NOT EXISTS (SELECT FROM billing.rule_set_choice) OR NOT EXISTS (SELECT FROM billing.closing) THEN
        RETURN NEW;
    END IF;
    IF make_timestamptz(NEW.from_year, NEW.first_month, 1, 0, 0, 0, 'UTC') <= NEW.recorded_at THEN
        RAISE EXCEPTION 'a rule set changes for a coming fiscal year only, and % has begun', NEW.from_year;
    END IF;
    IF NOT EXISTS (SELECT FROM billing.resolution WHERE id = NEW.resolution AND kind = 'rule-set') THEN
        RAISE EXCEPTION 'a change of the rule set needs a resolution of kind rule-set';
    END IF;
    IF NEW.first_month <> (SELECT first_month FROM billing.rule_set_choice ORDER BY number DESC LIMIT 1) THEN
        RAISE EXCEPTION 'the fiscal year cannot begin in another month once months are closed';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER a_right BEFORE INSERT ON billing.rule_set_choice
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_early_choice();
CREATE TRIGGER b_next_number BEFORE INSERT ON billing.rule_set_choice
    FOR EACH ROW EXECUTE FUNCTION billing.next_number();

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['share_kind', 'operation', 'particulars', 'resolution', 'consent', 'hours',
        'rule_set_choice'] LOOP
        EXECUTE format('CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change()', name);
    END LOOP;
END $$;
CREATE TRIGGER no_removal BEFORE DELETE OR TRUNCATE ON billing.holding
    FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change();
GRANT SELECT, INSERT ON billing.share_kind, billing.operation, billing.resolution, billing.consent, billing.hours,
    billing.rule_set_choice TO weir_billing;
GRANT SELECT ON billing.holding, billing.share_effect TO weir_billing;

-- Billing enters what happens to shares. Who is a member, and in which class, is entered by the register's owner.
ALTER TABLE billing.operation ENABLE ROW LEVEL SECURITY;
CREATE POLICY read_all ON billing.operation FOR SELECT TO weir_billing USING (true);
CREATE POLICY enter_shares ON billing.operation FOR INSERT TO weir_billing WITH CHECK (share_kind IS NOT NULL);
REVOKE EXECUTE ON FUNCTION billing.hold_shares() FROM PUBLIC;
