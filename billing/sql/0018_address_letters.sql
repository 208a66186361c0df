-- Addresses are the same where they differ in the case of ASCII letters alone, whatever the database's locale says: there
-- are letters that only become an ASCII one in small, and an address of another domain must never find a member.
CREATE INDEX member_by_address ON meter.member (lower(email COLLATE "C")) WHERE email <> '';
DROP INDEX meter.member_by_email;

CREATE OR REPLACE TRIGGER tell_old_address AFTER UPDATE OF email ON meter.member
    FOR EACH ROW WHEN (OLD.email <> '' AND lower(OLD.email COLLATE "C") <> lower(NEW.email COLLATE "C"))
    EXECUTE FUNCTION billing.note_old_address();
