-- Having a say: proposals, their discussion, votes, ballots, results. All of it is only added to.
--
-- Who voted and what was voted stand in two tables that share nothing but the proposal. A row of PostgreSQL carries the
-- number of the transaction that wrote it, and rows lie in the order they came: a row for each voter could be laid
-- beside the ballots by either. So who voted is one row a vote, a string of bits by the place in the roll, and a secret
-- ballot has no time and a random name. What the last writer leaves in that row is wiped when the box is closed.

-- Whoever writes to a proposal is alone with it until the transaction ends; 0 is the list of proposals and of results.
CREATE FUNCTION billing.lock_proposal(number bigint) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(1935767393, number::integer);
$$;

CREATE TABLE billing.proposal (
    number      bigint PRIMARY KEY CHECK (number BETWEEN 1 AND 2147483647),
    kind        text NOT NULL CHECK (kind IN ('tariff', 'rule-set', 'closing', 'allocation', 'retirement', 'other')),
    member      bigint REFERENCES meter.member,   -- NULL: the board's, or whoever runs the machine
    who         text NOT NULL CHECK (length(who) BETWEEN 1 AND 100),
    recorded_at timestamptz NOT NULL
);
CREATE INDEX proposal_by_member ON billing.proposal (member);

-- What it says. Until it is opened it may be put in other words; what it said before stays.
CREATE TABLE billing.proposal_text (
    proposal    bigint NOT NULL REFERENCES billing.proposal,
    place       integer NOT NULL CHECK (place >= 1),
    title       text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    body        text NOT NULL CHECK (length(body) BETWEEN 1 AND 20000),
    calc_hash   text CHECK (calc_hash ~ '^[0-9a-f]{64}$'),
    who         text NOT NULL CHECK (length(who) BETWEEN 1 AND 100),
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (proposal, place)
);

CREATE TABLE billing.proposal_attachment (
    proposal    bigint NOT NULL REFERENCES billing.proposal,
    place       integer NOT NULL CHECK (place >= 1),
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    media_type  text NOT NULL
        CHECK (media_type IN ('application/pdf', 'image/png', 'image/jpeg', 'text/plain', 'text/csv')),
    sha256      text NOT NULL CHECK (sha256 = encode(sha256(content), 'hex')),
    content     bytea NOT NULL CHECK (length(content) BETWEEN 1 AND 67108864),
    who         text NOT NULL CHECK (length(who) BETWEEN 1 AND 100),
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (proposal, place)
);

CREATE TABLE billing.proposal_comment (
    proposal    bigint NOT NULL REFERENCES billing.proposal,
    place       integer NOT NULL CHECK (place >= 1),
    member      bigint NOT NULL REFERENCES meter.member,
    body        text NOT NULL CHECK (length(body) BETWEEN 1 AND 4000),
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (proposal, place)
);
CREATE INDEX proposal_comment_by_member ON billing.proposal_comment (member, recorded_at);

CREATE FUNCTION billing.next_proposal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.lock_proposal(0);
    SELECT coalesce(max(number), 0) + 1 INTO NEW.number FROM billing.proposal;
    RETURN NEW;
END $$;
CREATE TRIGGER b_next_number BEFORE INSERT ON billing.proposal
    FOR EACH ROW EXECUTE FUNCTION billing.next_proposal();

CREATE FUNCTION billing.next_place() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.lock_proposal(NEW.proposal);
    EXECUTE format('SELECT coalesce(max(place), 0) + 1 FROM billing.%I WHERE proposal = $1', TG_TABLE_NAME)
        INTO NEW.place USING NEW.proposal;
    RETURN NEW;
END $$;

-- A vote, once it is opened: terms and roll are frozen, and the document says them.
CREATE TABLE billing.poll (
    proposal  bigint PRIMARY KEY REFERENCES billing.proposal,
    document  text NOT NULL,
    digest    text NOT NULL CHECK (digest = encode(sha256(convert_to(document, 'UTF8')), 'hex')),
    is_secret boolean NOT NULL,
    record_at timestamptz NOT NULL,               -- the register of this instant says who votes
    opens_at  timestamptz NOT NULL,
    closes_at timestamptz NOT NULL,
    who       text NOT NULL CHECK (length(who) BETWEEN 1 AND 100),
    opened_at timestamptz NOT NULL,
    CHECK (record_at <= opened_at AND opened_at <= opens_at AND opens_at < closes_at)
);

-- The roll: everybody who has a vote, by their place from 0 on, and in which chamber it counts.
CREATE TABLE billing.voter (
    proposal bigint NOT NULL REFERENCES billing.poll,
    member   bigint NOT NULL,
    place    integer NOT NULL CHECK (place >= 0),
    chamber  text NOT NULL,
    PRIMARY KEY (proposal, member),
    UNIQUE (proposal, place)
);

CREATE TABLE billing.turnout (
    proposal  bigint PRIMARY KEY REFERENCES billing.poll,
    voted     bit varying NOT NULL,               -- bit n: the voter at place n has voted
    last_at   timestamptz,                        -- of the vote that came last; wiped when the box is closed
    is_closed boolean NOT NULL DEFAULT false
);

CREATE TABLE billing.ballot (
    proposal bigint NOT NULL REFERENCES billing.poll,
    receipt  text NOT NULL CHECK (receipt ~ '^[0-9a-f]{32}$'),
    chamber  text NOT NULL,
    vote     text NOT NULL CHECK (vote IN ('for', 'against', 'abstain')),
    member   bigint,                              -- of an open vote; NULL of a secret one
    PRIMARY KEY (proposal, receipt),
    UNIQUE (proposal, member)
);

CREATE TABLE billing.vote_result (
    place      integer PRIMARY KEY CHECK (place >= 1),
    proposal   bigint NOT NULL UNIQUE REFERENCES billing.poll,
    document   text NOT NULL,                     -- with every ballot, and the digest of the result before it
    digest     text NOT NULL CHECK (digest = encode(sha256(convert_to(document, 'UTF8')), 'hex')),
    is_adopted boolean NOT NULL,
    counted_at timestamptz NOT NULL
);

-- Which resolution an adopted proposal became.
CREATE TABLE billing.adopted (
    proposal   bigint PRIMARY KEY REFERENCES billing.vote_result (proposal),
    resolution text NOT NULL UNIQUE REFERENCES billing.resolution
);

CREATE FUNCTION billing.refuse_after_opening() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.lock_proposal(NEW.proposal);
    IF EXISTS (SELECT FROM billing.poll WHERE proposal = NEW.proposal) THEN
        RAISE EXCEPTION 'proposal % was opened, and stays as it is', NEW.proposal USING ERRCODE = 'WV001';
    END IF;
    RETURN NEW;
END $$;

-- The discussion ends with the vote: the result says its digest.
CREATE FUNCTION billing.refuse_after_result() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.lock_proposal(NEW.proposal);
    IF EXISTS (SELECT FROM billing.vote_result WHERE proposal = NEW.proposal) THEN
        RAISE EXCEPTION 'proposal % was voted on, and its discussion is over', NEW.proposal USING ERRCODE = 'WV001';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION billing.refuse_wrong_poll() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.lock_proposal(NEW.proposal);
    IF NOT EXISTS (SELECT FROM billing.proposal_text WHERE proposal = NEW.proposal) THEN
        RAISE EXCEPTION 'proposal % says nothing yet', NEW.proposal;
    END IF;
    RETURN NEW;
END $$;

-- The roll is complete when its row of bits is there, and takes nobody afterwards.
CREATE FUNCTION billing.refuse_late_voter() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.lock_proposal(NEW.proposal);
    IF EXISTS (SELECT FROM billing.turnout WHERE proposal = NEW.proposal) THEN
        RAISE EXCEPTION 'the roll of proposal % is complete', NEW.proposal USING ERRCODE = 'WV001';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION billing.refuse_wrong_roll() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    found record;
BEGIN
    PERFORM billing.lock_proposal(NEW.proposal);
    SELECT count(*) AS many, coalesce(max(place), -1) + 1 AS places INTO found
        FROM billing.voter WHERE proposal = NEW.proposal;
    IF found.many = 0 OR found.many <> found.places OR length(NEW.voted) <> found.many OR bit_count(NEW.voted) <> 0
        OR NEW.last_at IS NOT NULL OR NEW.is_closed THEN
        RAISE EXCEPTION 'proposal % begins with % bits for a roll of %', NEW.proposal, length(NEW.voted), found.many;
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION billing.refuse_open_roll() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM billing.turnout WHERE proposal = NEW.proposal) THEN
        RAISE EXCEPTION 'proposal % was opened without a roll', NEW.proposal;
    END IF;
    RETURN NULL;
END $$;

-- One bit more in its time, or the box is closed after it; nothing else ever happens to this row.
CREATE FUNCTION billing.refuse_wrong_turnout() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    poll billing.poll;
BEGIN
    SELECT * INTO STRICT poll FROM billing.poll WHERE proposal = OLD.proposal;
    IF OLD.is_closed OR NEW.proposal <> OLD.proposal OR length(NEW.voted) <> length(OLD.voted) THEN
        RAISE EXCEPTION 'the box of proposal % is closed', OLD.proposal USING ERRCODE = 'WV002';
    ELSIF NEW.is_closed THEN
        IF NEW.voted <> OLD.voted OR NEW.last_at IS NOT NULL THEN
            RAISE EXCEPTION 'closing the box of proposal % changes who voted', OLD.proposal;
        END IF;
    ELSIF (NEW.voted & OLD.voted) <> OLD.voted OR bit_count(NEW.voted) <> bit_count(OLD.voted) + 1 THEN
        RAISE EXCEPTION 'a vote on proposal % marks one voter more', OLD.proposal;
    ELSIF NEW.last_at IS NULL OR NEW.last_at < poll.opens_at OR NEW.last_at >= poll.closes_at THEN
        RAISE EXCEPTION 'a vote on proposal % at % is out of its time', OLD.proposal, NEW.last_at
            USING ERRCODE = 'WV002';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION billing.refuse_wrong_ballot() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    poll billing.poll;
BEGIN
    SELECT * INTO STRICT poll FROM billing.poll WHERE proposal = NEW.proposal;
    IF poll.is_secret <> (NEW.member IS NULL) THEN
        RAISE EXCEPTION 'a ballot of proposal % % whose it is', NEW.proposal,
            CASE WHEN poll.is_secret THEN 'does not say' ELSE 'says' END;
    ELSIF NOT EXISTS (SELECT FROM billing.voter v WHERE v.proposal = NEW.proposal AND v.chamber = NEW.chamber
        AND (NEW.member IS NULL OR v.member = NEW.member)) THEN
        RAISE EXCEPTION 'nobody on the roll of proposal % has such a ballot', NEW.proposal;
    ELSIF EXISTS (SELECT FROM billing.turnout t WHERE t.proposal = NEW.proposal AND t.is_closed) THEN
        RAISE EXCEPTION 'the box of proposal % is closed', NEW.proposal USING ERRCODE = 'WV002';
    END IF;
    RETURN NEW;
END $$;

-- At the end of each transaction there are as many ballots as voters who voted.
CREATE FUNCTION billing.refuse_uneven_box() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    found record;
BEGIN
    SELECT (SELECT count(*) FROM billing.ballot b WHERE b.proposal = NEW.proposal) AS ballots,
        (SELECT bit_count(t.voted) FROM billing.turnout t WHERE t.proposal = NEW.proposal) AS voted INTO found;
    IF found.ballots IS DISTINCT FROM found.voted THEN
        RAISE EXCEPTION 'proposal % has % ballots of % voters', NEW.proposal, found.ballots, found.voted;
    END IF;
    RETURN NULL;
END $$;

-- Closed box, each chamber's ballots as many as its voters who voted, in an open vote the same members; and the chain.
CREATE FUNCTION billing.refuse_wrong_result() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    bits   bit varying;
    before text;
BEGIN
    PERFORM billing.lock_proposal(0);
    SELECT voted INTO bits FROM billing.turnout WHERE proposal = NEW.proposal AND is_closed;
    IF bits IS NULL THEN
        RAISE EXCEPTION 'the box of proposal % is not closed', NEW.proposal;
    END IF;
    IF EXISTS (
        (SELECT v.chamber, count(*) FROM billing.voter v
            WHERE v.proposal = NEW.proposal AND get_bit(bits, v.place) = 1 GROUP BY v.chamber)
        EXCEPT (SELECT b.chamber, count(*) FROM billing.ballot b WHERE b.proposal = NEW.proposal GROUP BY b.chamber)
    ) OR EXISTS (SELECT FROM billing.ballot b JOIN billing.voter v USING (proposal, member)
        WHERE b.proposal = NEW.proposal AND get_bit(bits, v.place) = 0) THEN
        RAISE EXCEPTION 'the ballots of proposal % are not those of who voted', NEW.proposal;
    END IF;
    IF jsonb_array_length(NEW.document::jsonb -> 'ballots') <> bit_count(bits) THEN
        RAISE EXCEPTION 'the result of proposal % leaves ballots out', NEW.proposal;
    END IF;
    SELECT coalesce(max(place), 0) + 1 INTO NEW.place FROM billing.vote_result;
    SELECT digest INTO before FROM billing.vote_result WHERE place = NEW.place - 1;
    IF (NEW.document::jsonb ->> 'previous') IS DISTINCT FROM coalesce(before, '')
        OR (NEW.document::jsonb ->> 'place')::integer IS DISTINCT FROM NEW.place THEN
        RAISE EXCEPTION 'the result of proposal % does not name the digest of the one before it', NEW.proposal;
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION billing.refuse_not_adopted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM billing.vote_result WHERE proposal = NEW.proposal AND is_adopted) THEN
        RAISE EXCEPTION 'proposal % was not adopted', NEW.proposal;
    END IF;
    RETURN NEW;
END $$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['proposal_text', 'proposal_attachment'] LOOP
        EXECUTE format('CREATE TRIGGER a_before_opening BEFORE INSERT ON billing.%I '
            'FOR EACH ROW EXECUTE FUNCTION billing.refuse_after_opening()', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['proposal_text', 'proposal_attachment', 'proposal_comment'] LOOP
        EXECUTE format('CREATE TRIGGER b_next_place BEFORE INSERT ON billing.%I '
            'FOR EACH ROW EXECUTE FUNCTION billing.next_place()', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['proposal', 'proposal_text', 'proposal_attachment', 'proposal_comment', 'poll',
        'voter', 'ballot', 'vote_result', 'adopted'] LOOP
        EXECUTE format('CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change()', name);
    END LOOP;
END $$;
CREATE TRIGGER a_before_result BEFORE INSERT ON billing.proposal_comment
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_after_result();
CREATE TRIGGER a_right BEFORE INSERT ON billing.poll FOR EACH ROW EXECUTE FUNCTION billing.refuse_wrong_poll();
CREATE TRIGGER a_right BEFORE INSERT ON billing.voter FOR EACH ROW EXECUTE FUNCTION billing.refuse_late_voter();
CREATE TRIGGER a_right BEFORE INSERT ON billing.turnout FOR EACH ROW EXECUTE FUNCTION billing.refuse_wrong_roll();
CREATE TRIGGER a_one_more BEFORE UPDATE ON billing.turnout FOR EACH ROW EXECUTE FUNCTION billing.refuse_wrong_turnout();
CREATE TRIGGER no_removal BEFORE DELETE OR TRUNCATE ON billing.turnout
    FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change();
CREATE TRIGGER a_right BEFORE INSERT ON billing.ballot FOR EACH ROW EXECUTE FUNCTION billing.refuse_wrong_ballot();
CREATE TRIGGER a_right BEFORE INSERT ON billing.vote_result FOR EACH ROW EXECUTE FUNCTION billing.refuse_wrong_result();
CREATE TRIGGER a_right BEFORE INSERT ON billing.adopted FOR EACH ROW EXECUTE FUNCTION billing.refuse_not_adopted();
CREATE CONSTRAINT TRIGGER has_a_roll AFTER INSERT ON billing.poll
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing.refuse_open_roll();
CREATE CONSTRAINT TRIGGER box_is_even AFTER INSERT ON billing.ballot
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing.refuse_uneven_box();
CREATE CONSTRAINT TRIGGER box_is_even AFTER UPDATE ON billing.turnout
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing.refuse_uneven_box();

GRANT SELECT, INSERT ON billing.proposal, billing.proposal_text, billing.proposal_attachment,
    billing.proposal_comment, billing.poll, billing.voter, billing.vote_result, billing.adopted TO weir_billing;
-- By column, so that billing's role cannot ask for a row's transaction or place on the disk either.
GRANT SELECT (proposal, voted, last_at, is_closed), INSERT (proposal, voted, last_at, is_closed),
    UPDATE (voted, last_at, is_closed) ON billing.turnout TO weir_billing;
GRANT SELECT (proposal, receipt, chamber, vote, member), INSERT (proposal, receipt, chamber, vote, member)
    ON billing.ballot TO weir_billing;
