"""FACES: people and boxes talk to Shipmate here. May import jobs and sandbox.

Begin with `app.py`, which puts the web process together, and `cli.py`, which has the commands. `slack/` and `web/` are
for people, `gateway/` is for boxes, and `playground/` stands in for Slack, a forge and models.
"""
