"""How bills come in: one as JSON, many as NDJSON."""
