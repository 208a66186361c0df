-- On which storage engine each bucket number is, for good; the directory tells it when a bucket is entered.
-- Numbers without a row are from before there were several engines: they are on the disk.
CREATE TABLE meter.bucket_engine (
    bucket bigint PRIMARY KEY,
    engine text NOT NULL
);
CREATE INDEX bucket_engine_by_engine ON meter.bucket_engine (engine);
GRANT SELECT ON meter.bucket_engine TO weir_meter, weir_billing, weir_gateway;

-- Why a correction was entered: by a person; because an inventory of an engine found other bytes than were counted;
-- or because a bucket had two copies for a while.
ALTER TABLE meter.correction ADD COLUMN kind text NOT NULL DEFAULT 'person' CHECK (kind IN ('person', 'inventory', 'move'));
