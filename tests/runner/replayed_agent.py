"""An agent that says what a real one said: run as a program with a golden wire log (`wires/NAME.jsonl`).

It waits for the runner where the real one waited, and answers with the ids that this runner's requests have.
"""

import json
import sys
from pathlib import Path
from typing import Any


def main(log: Path) -> None:
    numbers: list[Any] = []  # of the runner's requests, in order
    waiting: dict[Any, Any] = {}  # the number that a request had then -> the one that it has now
    for line in map(json.loads, log.read_text().splitlines()):
        if "to" in line:
            heard = json.loads(sys.stdin.readline())
            assert heard.get("method", "answer") == line["to"], f"{heard} came instead of {line['to']}"
            if "method" in heard and "id" in heard:
                numbers.append(heard["id"])
                waiting[len(numbers)] = heard["id"]
            continue
        message = line["from"]
        if "method" not in message:
            message["id"] = waiting[message["id"]]
        print(json.dumps(message), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
