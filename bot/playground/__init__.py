"""A workspace, a forge and a scripted model on loopback, for the demo and the tests.

They import nothing of the product. Slack's streams and shortcuts are left out: nothing here uses them.
"""
