"""A workspace, a forge and a scripted model on loopback, for the demo and the tests."""
