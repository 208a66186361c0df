-- Customers buy at the tariff and are no members; and a class that changes with the first instant of a month to come.

ALTER TABLE meter.member DROP CONSTRAINT member_class_check;
ALTER TABLE meter.member
    ADD CONSTRAINT member_class_check CHECK (class IN ('user', 'worker', 'supporter', 'customer')),
    ADD COLUMN next_class text
        CONSTRAINT member_next_class_check CHECK (next_class IN ('user', 'worker', 'supporter', 'customer')),
    ADD COLUMN next_class_from timestamptz
        CONSTRAINT member_next_class_month CHECK (next_class_from = date_trunc('month', next_class_from, 'UTC')),
    ADD CONSTRAINT member_next_class_whole CHECK ((next_class IS NULL) = (next_class_from IS NULL));
