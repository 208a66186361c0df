-- How a part's bytes were encrypted with its customer's key, without that key; '' for a plain part. Each time a
-- part is sent it is sealed anew, so this is the part's and not the upload's; Complete gathers it into the object.

ALTER TABLE part ADD COLUMN sealing TEXT NOT NULL DEFAULT '';
