-- How fast a member may go, where it is not what all members may: requests and body bytes a second at one gateway.
-- NULL: what all may (member_requests_per_s, member_bytes_per_s); 0: no limit.

ALTER TABLE gateway.member_limit
    ADD COLUMN requests_per_s bigint CHECK (requests_per_s >= 0),
    ADD COLUMN bytes_per_s bigint CHECK (bytes_per_s >= 0);
