-- Proposals taken back, elections, and a word to the address that was a member's before.

-- Whoever made a proposal takes it back until it is put to the vote; it stays to be read, and so does why.
CREATE TABLE billing.proposal_withdrawal (
    proposal    bigint PRIMARY KEY REFERENCES billing.proposal,
    why         text NOT NULL CHECK (length(why) <= 500),
    who         text NOT NULL CHECK (length(who) BETWEEN 1 AND 100),
    recorded_at timestamptz NOT NULL
);

CREATE FUNCTION billing.refuse_withdrawn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.lock_proposal(NEW.proposal);
    IF EXISTS (SELECT FROM billing.proposal_withdrawal WHERE proposal = NEW.proposal) THEN
        RAISE EXCEPTION 'proposal % was withdrawn', NEW.proposal USING ERRCODE = 'WV003';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER a_before_opening BEFORE INSERT ON billing.proposal_withdrawal
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_after_opening();
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['proposal_text', 'proposal_attachment', 'proposal_comment', 'poll'] LOOP
        EXECUTE format('CREATE TRIGGER a_not_withdrawn BEFORE INSERT ON billing.%I '
            'FOR EACH ROW EXECUTE FUNCTION billing.refuse_withdrawn()', name);
    END LOOP;
END $$;
CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.proposal_withdrawal
    FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change();
GRANT SELECT, INSERT ON billing.proposal_withdrawal TO weir_billing;

-- An election is a proposal with seats and who or what can be chosen; what it says and these are put together.
ALTER TABLE billing.proposal DROP CONSTRAINT proposal_kind_check;
ALTER TABLE billing.proposal ADD CONSTRAINT proposal_kind_check
    CHECK (kind IN ('tariff', 'rule-set', 'closing', 'allocation', 'retirement', 'election', 'other'));
ALTER TABLE billing.resolution DROP CONSTRAINT resolution_kind_check;
ALTER TABLE billing.resolution ADD CONSTRAINT resolution_kind_check
    CHECK (kind IN ('tariff', 'rule-set', 'closing', 'allocation', 'retirement', 'election', 'other'));
ALTER TABLE billing.proposal_text ADD COLUMN seats integer CHECK (seats >= 1);
ALTER TABLE billing.proposal_text ADD COLUMN options text[] CHECK (cardinality(options) BETWEEN 1 AND 50);
ALTER TABLE billing.proposal_text ADD CONSTRAINT proposal_text_election_check
    CHECK (num_nulls(seats, options) IN (0, 2) AND (seats IS NULL OR seats <= cardinality(options)));

CREATE FUNCTION billing.refuse_wrong_wording() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.seats IS NOT NULL) <> (SELECT kind = 'election' FROM billing.proposal WHERE number = NEW.proposal) THEN
        RAISE EXCEPTION 'proposal %: an election has seats and options, and nothing else has', NEW.proposal;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER c_right BEFORE INSERT ON billing.proposal_text
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_wrong_wording();

-- What is opened is what was worded: the paper of an election has its seats and options, and any other has none.
CREATE FUNCTION billing.refuse_wrong_election() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    worded billing.proposal_text;
    found  jsonb;
BEGIN
    SELECT * INTO STRICT worded FROM billing.proposal_text
        WHERE proposal = NEW.proposal ORDER BY place DESC LIMIT 1;
    -- What is no paper at all has a digest of its own and is refused with its roll.
    IF worded.seats IS NULL AND NEW.document NOT LIKE '%"election"%' THEN
        RETURN NEW;
    END IF;
    found := NEW.document::jsonb -> 'election';
    IF (worded.seats IS NULL) <> (found IS NULL) OR (found IS NOT NULL AND (
        (found ->> 'seats')::integer IS DISTINCT FROM worded.seats OR found -> 'options' <> to_jsonb(worded.options)
        OR NOT coalesce((found ->> 'votes')::integer BETWEEN 1 AND worded.seats, false))) THEN
        RAISE EXCEPTION 'proposal % is opened with other seats or options than it says', NEW.proposal;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER b_right BEFORE INSERT ON billing.poll FOR EACH ROW EXECUTE FUNCTION billing.refuse_wrong_election();

-- A ballot of an election has the places of what it names, in their order, no more than there are votes; or 'abstain'.
ALTER TABLE billing.ballot DROP CONSTRAINT ballot_vote_check;
ALTER TABLE billing.ballot ADD CONSTRAINT ballot_vote_check
    CHECK (vote IN ('for', 'against', 'abstain') OR vote ~ '^[1-9][0-9]?(,[1-9][0-9]?)*$');

CREATE FUNCTION billing.refuse_wrong_choice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    election jsonb;
    places   integer[];
BEGIN
    -- What is no ballot at all is refused by the table.
    IF NEW.vote = 'abstain' OR NEW.vote !~ '^(for|against|[1-9][0-9]?(,[1-9][0-9]?)*)$' THEN
        RETURN NEW;
    END IF;
    SELECT document::jsonb -> 'election' INTO STRICT election FROM billing.poll WHERE proposal = NEW.proposal;
    IF (election IS NULL) <> (NEW.vote IN ('for', 'against')) THEN
        RAISE EXCEPTION 'nothing like % is to be chosen in the vote on proposal %', NEW.vote, NEW.proposal;
    ELSIF election IS NOT NULL THEN
        places := string_to_array(NEW.vote, ',')::integer[];
        IF cardinality(places) > (election ->> 'votes')::integer
            OR EXISTS (SELECT FROM unnest(places) p WHERE p > jsonb_array_length(election -> 'options'))
            OR places <> (SELECT array_agg(DISTINCT p ORDER BY p) FROM unnest(places) p) THEN
            RAISE EXCEPTION 'no ballot of proposal % can name %', NEW.proposal, NEW.vote;
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER b_right_choice BEFORE INSERT ON billing.ballot
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_wrong_choice();

-- Whose e-mail address changes is told at the one that was theirs, whoever changed it. A line is here until its mail is
-- sent, or is too old to be of use; the register keeps what was.
CREATE TABLE billing.address_notice (
    number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    member     bigint NOT NULL REFERENCES meter.member,
    email      text NOT NULL,                     -- as it was
    changed_at timestamptz NOT NULL DEFAULT now(),
    tried_at   timestamptz
);

CREATE FUNCTION billing.note_old_address() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO billing.address_notice (member, email) VALUES (NEW.id, OLD.email);
    RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION billing.note_old_address() FROM PUBLIC;
CREATE TRIGGER tell_old_address AFTER UPDATE OF email ON meter.member
    FOR EACH ROW WHEN (OLD.email <> '' AND lower(OLD.email) <> lower(NEW.email))
    EXECUTE FUNCTION billing.note_old_address();
GRANT SELECT, UPDATE (tried_at), DELETE ON billing.address_notice TO weir_billing;
