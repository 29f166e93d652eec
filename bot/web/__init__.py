"""Web pages and the read-only view of a session."""
