-- When the last change of stored bytes was noted: the next one is not noted before it, whatever the clock says.

INSERT INTO meta (name, value) SELECT 'changed_us', coalesce(max(at_us), 0) FROM outbox;
