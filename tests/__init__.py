"""The tests. Each folder has those of one part of the code, or of one promise that goes through all of it.

jobs/             the pure core by tables and stories; record, queues and workers against a real Redis-compatible server
gateway/          link, git, models, egress and tools, as a box meets them; releases/ has runners of older releases
slack/ web/       what Slack and browsers send and see: pure parts by table, the rest against the playground
playground/       the stand-ins themselves: the real client libraries talk to them
sandbox/ modal/   providers, by the same conformance checks and by what is special to each; modal_cloud/ is a stand-in
runner/           the program in the box, and golden wires of the real agents; rehearsal/ is the scripted agent
e2e/              whole stories through production processes (`bot/stack.py`)
agents/           the same with the real agents (`make test-agents`)
fuzz/ words/      anything at any door; what people say stays words
secrets/          nothing leaks
hostile/ kills/   programs of their own (`make hostile`, …), each with a short form as a test; so are scale/ and bench/

A test stands beside those of the part that it is about, in the file whose docstring it fits; what needs several parts
is a story in `e2e/`. Shared: `conftest.py` (a server, the runner, the sample repository), `waiting.py` (wait until
something is true, with a deadline), `logs.py` (legal logs, told by commands), `browser.py` (pages in a real browser),
`order.py` (what is done together when several processes share the tests, and what first).
`golden.py` and `settings_table.py` write what is made from code: `make golden`.
"""
