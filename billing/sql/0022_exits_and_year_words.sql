-- A share that a closing keeps in a leaver's name after they left becomes a debt too, by a later act on the terms of the
-- same day. One resolution books it once, and a day is that of an exit or of a death, never of both.
ALTER TABLE billing.capital_exit DROP CONSTRAINT capital_exit_member_left_on_key;
CREATE INDEX capital_exit_by_member ON billing.capital_exit (member, left_on);

CREATE FUNCTION billing.refuse_exit_twice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing.lock_books();
    IF EXISTS (SELECT FROM billing.capital_exit AS e JOIN billing.capital_act AS a ON a.number = e.act
               WHERE e.member = NEW.member AND e.left_on = NEW.left_on AND (e.kind <> NEW.kind
                   OR a.resolution = (SELECT resolution FROM billing.capital_act WHERE number = NEW.act))) THEN
        RAISE EXCEPTION 'act % books the leaving of member % on % a second time', NEW.act, NEW.member, NEW.left_on
            USING ERRCODE = 'unique_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER d_booked_once BEFORE INSERT ON billing.capital_exit
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_exit_twice();

-- In which format a year's statements are told: a closed year stays in its own when later ones get other words. Those
-- closed before this were told in the first, whoever closes them: an older Weir that still runs names none.
ALTER TABLE billing.year
    ADD COLUMN statement_format text NOT NULL DEFAULT 'weir-year-statement-1'
        CHECK (statement_format ~ '^weir-year-statement-[0-9]{1,4}$');
