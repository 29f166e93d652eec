"""SESSIONS: what is true and what happens next. May import sandbox, never bot."""
