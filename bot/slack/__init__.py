"""Slack as a client: listeners in, cards out."""
