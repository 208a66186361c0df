-- Prices of a storage engine rest on where each bucket number is, so that is only added to, like what was counted.
CREATE TRIGGER no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON meter.bucket_engine
    FOR EACH STATEMENT EXECUTE FUNCTION meter.refuse_change();
