"""Many gateways shipping to one PostgreSQL: what it takes, and what changes it."""
