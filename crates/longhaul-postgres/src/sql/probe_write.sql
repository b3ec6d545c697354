-- Fails where the server writes nothing: it is a standby, or was made read-only.
UPDATE schema_version SET oldest = oldest WHERE false
