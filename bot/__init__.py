"""FACES: people and boxes talk to Shipmate here. May import jobs and sandbox."""
