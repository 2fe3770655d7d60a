"""The tables of the audit chain in PostgreSQL, and the triggers that let them only grow."""

from __future__ import annotations

from typing import LiteralString

SCHEMA: LiteralString = """
CREATE TABLE audit_records (
    sequence BIGINT PRIMARY KEY, kind TEXT NOT NULL, cycle_id TEXT NOT NULL, key TEXT NOT NULL,
    body TEXT NOT NULL, hash TEXT NOT NULL
);
CREATE INDEX audit_records_cycle ON audit_records (cycle_id, sequence);
CREATE INDEX audit_records_key ON audit_records (key, sequence);
CREATE TABLE audit_head (id INTEGER PRIMARY KEY CHECK (id = 1), count BIGINT NOT NULL, hash TEXT NOT NULL);
INSERT INTO audit_head VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');
CREATE FUNCTION audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'audit_head' AND TG_OP = 'UPDATE' THEN
        IF NEW.count > OLD.count THEN RETURN NEW; END IF;
    END IF;
    RAISE EXCEPTION 'the audit chain is append-only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_records_kept BEFORE UPDATE OR DELETE ON audit_records
    FOR EACH ROW EXECUTE FUNCTION audit_only_grows();
CREATE TRIGGER audit_records_stay BEFORE TRUNCATE ON audit_records
    FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows();
CREATE TRIGGER audit_head_kept BEFORE UPDATE OR DELETE ON audit_head
    FOR EACH ROW EXECUTE FUNCTION audit_only_grows();
CREATE TRIGGER audit_head_stays BEFORE TRUNCATE ON audit_head
    FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows();
"""
