-- In which format a month's statements are told: a closed month stays in its own when later ones get other words.
-- Those closed before this were told in the second, whoever closes them: an older Weir that still runs names none.
ALTER TABLE billing.closing
    ADD COLUMN statement_format text NOT NULL DEFAULT 'weir-statement-2'
        CHECK (statement_format ~ '^weir-statement-[0-9]{1,4}$');
