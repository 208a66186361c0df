-- What gateways asked of storage engines elsewhere: exchanges nobody pays for, whose operations have codes of their
-- own. A bucket's number stays on one engine, so sums by bucket are sums by engine.
CREATE VIEW meter.upstream_use AS
    SELECT e.engine, r.hour, r.operation, sum(r.requests)::bigint AS requests, sum(r.failures)::bigint AS failures,
           sum(r.bytes_in)::bigint AS bytes_in, sum(r.bytes_out)::bigint AS bytes_out
    FROM meter.reading r JOIN meter.bucket_engine e ON e.bucket = r.bucket
    WHERE r.payer = 0 AND r.operation BETWEEN 1001 AND 1099
    GROUP BY e.engine, r.hour, r.operation;
GRANT SELECT ON meter.upstream_use TO weir_meter, weir_billing, weir_gateway;
-- Limits of stored bytes on such engines are held against the sums.
GRANT SELECT ON meter.stored TO weir_gateway;
