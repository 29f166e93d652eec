"""What Prometheus is told: counters of this process, and facts of the record, read when it asks. GET /metrics.

`bot/app.py` makes one `Metrics` for each web process and hands its counters to whoever counts. Several web processes
are scraped one by one: what only one process knows is summed by the reader; what the record knows is the same in all.
"""

import asyncio
import hmac
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from jobs.census import Census
from jobs.moments import MOMENTS
from jobs.outcomes import Summary
from jobs.store_scripts import STAGE_BOUNDS

log = logging.getLogger(__name__)
CENSUS_SECONDS = 5.0
FIRST_BYTE_BOUNDS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64)
COUNTED = (
    "sessions", "with_pull_request", "merged", "pull_requests", "merged_pull_requests", "reviewed", "approved_first",
    "approved_last", "changes_requested", "revisions",
)  # fmt: skip
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._slack = self._counter("slack_calls", "Calls of Slack's Web API", "method", "answer")
        self._requests = self._counter("gateway_requests", "Requests of boxes", "kind", "status")
        self._refusals = self._counter("pushes_refused", "Pushes of boxes that were refused, by rule", "rule")
        self._models = self._counter("model_requests", "Requests of agents to a model", "provider", "status")
        self._egress = self._counter("egress", "Connections that boxes asked for, by what came of it", "answer")
        self._first_byte = Histogram(
            "shipmate_model_first_byte_seconds",
            "From an agent's request to the first byte of the model's answer",
            ["provider"],
            buckets=FIRST_BYTE_BOUNDS,
            registry=self._registry,
        )
        self._links = Gauge("shipmate_links_attached", "Boxes whose stream is open here", registry=self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"shipmate_{name}", text, labels, registry=self._registry)

    def slack_called(self, method: str, answer: str) -> None:
        """Slack answered a call, or did not. `answer`: ok, 429, unsure, or Slack's own word."""
        self._slack.labels(method, answer).inc()

    def gateway_answered(self, kind: str, status: str) -> None:
        """A request of a box was answered."""
        self._requests.labels(kind, status).inc()

    def push_refused(self, rule: str) -> None:
        """A push was refused by this rule."""
        self._refusals.labels(rule).inc()

    def model_answered(self, provider: str, status: str) -> None:
        """A model's provider answered, or we did in its place."""
        self._models.labels(provider, status).inc()

    def egress_answered(self, answer: str) -> None:
        """A box asked for a connection to the outside: opened, or why not."""
        self._egress.labels(answer).inc()

    def model_began(self, provider: str, seconds: float) -> None:
        """The first byte of an answer came."""
        self._first_byte.labels(provider).observe(seconds)

    def watch_links(self, count: Callable[[], int]) -> None:
        """From now on `count` says how many streams are open."""
        self._links.set_function(count)

    def text(self, census: Census | None) -> bytes:
        """Everything, as Prometheus reads it. Without a census: what this process knows by itself."""
        facts = CollectorRegistry()
        facts.register(_Facts(census))
        return generate_latest(self._registry) + generate_latest(facts)


class MetricsPage:
    """GET /metrics. `token` None: whoever can reach it may read it."""

    def __init__(self, metrics: Metrics, census: Callable[[], Awaitable[Census]], token: str | None) -> None:
        self._metrics, self._census, self._token = metrics, census, token
        self._under_way = asyncio.Lock()

    @property
    def routes(self) -> list[web.RouteDef]:
        """Its address."""
        return [web.get("/metrics", self._show)]

    async def _show(self, request: web.Request) -> web.Response:
        if self._token is not None and not _bears(request, self._token):
            return web.Response(status=401, text="a bearer token is needed (SHIPMATE_METRICS_TOKEN)\n")
        census = None
        try:
            async with asyncio.timeout(CENSUS_SECONDS), self._under_way:
                census = await self._census()
        except Exception as trouble:  # whatever it is, a gauge says that the record could not be read
            log.warning("the record cannot be counted: %s", trouble or type(trouble).__name__)
        return web.Response(body=self._metrics.text(census), headers={"Content-Type": TEXT})


def _bears(request: web.Request, token: str) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


class _Facts:
    """One census, as the library collects it."""

    def __init__(self, census: Census | None) -> None:
        self._census = census

    def collect(self) -> Iterator[Metric]:
        """Every family."""
        yield _gauge("record_up", "1: the record could be read", int(self._census is not None))
        if self._census is None:
            return
        yield from _of_sessions(self._census)
        yield from _of_totals(self._census.totals)
        yield from _of_places(self._census)
        yield from _of_outcomes(self._census.outcomes)


def _of_sessions(census: Census) -> Iterator[Metric]:
    yield _gauges("sessions", "Sessions by status", "status", census.sessions)
    yield _gauge("prompts_waiting", "Prompts that wait in sessions where no turn runs", census.waiting)
    yield _gauge("oldest_prompt_seconds", "How long the oldest of them has waited", census.waiting_seconds)
    yield _gauge("threads_unshown", "Threads that do not show all of their log yet", census.unshown)
    yield _gauge("relay_lag_seconds", "How long the one that waits longest has waited for words", census.lag_seconds)


def _of_totals(totals: Mapping[str, float]) -> Iterator[Metric]:
    yield _counters("events", "Facts in the logs, by kind", "kind", _under(totals, "event:"))
    yield _counters("turns", "Turns that ended, by outcome", "outcome", _under(totals, "turn:"))
    yield _counters("starts", "Boxes that sessions got, by what they came from", "start", _under(totals, "start:"))
    yield from _of_warm(_under(totals, "warm:"))
    yield CounterMetricFamily("shipmate_frames_stored", "Frames of runners stored", value=totals.get("frames", 0))
    yield _stages(_under(totals, "stage:"))
    yield from _of_usage(_under(totals, "usage:"))


def _of_warm(totals: Mapping[str, float]) -> Iterator[Metric]:
    """How well warm boxes pay: beside `starts` of the kind warm, what was made for nobody."""
    yield _counter("warm_predictions", "Times that somebody seemed about to ask", totals.get("wishes", 0))
    yield _counter("warm_unused", "Warm boxes that ended without a session", totals.get("unused", 0))
    yield _counter("warm_unused_seconds", "How long those had been there", totals.get("unused_seconds", 0))


def _of_usage(totals: Mapping[str, float]) -> Iterator[Metric]:
    """What models took: tokens and requests by model, dollars by repository and by person."""
    tokens = CounterMetricFamily("shipmate_model_tokens", "Tokens of models", labels=["model", "kind"])
    for kind in ("input", "cached", "written", "output"):
        for model, count in sorted(_under(totals, f"model:{kind}:").items()):
            tokens.add_metric([model, kind], count)
    yield tokens
    yield _counters("model_answers", "Answers of models that were counted", "model", _under(totals, "model:requests:"))
    unpriced = _under(totals, "model:unpriced:")
    yield _counters("model_unpriced", "Those of them whose price is not known", "model", unpriced)
    for part, by in (("repository", "repository"), ("person", "person")):
        dollars = {name: micros / 1e6 for name, micros in _under(totals, f"{part}:micros:").items()}
        yield _counters(f"model_dollars_by_{by}", f"What models cost, by {by}", by, dollars)


def _of_places(census: Census) -> Iterator[Metric]:
    if census.boxes is not None:
        boxes = {**census.boxes, "without_session": len(census.strays)}
        yield _gauges("boxes", "Boxes of this machine by state", "state", boxes)
    pools = {state: sum(getattr(pool, state) for pool in census.warm) for state in ("wanted", "waiting", "filling")}
    ages = {image.repository: image.age for image in census.images if image.age is not None}
    yield _gauges("image_age_seconds", "Age of a repository's newest image", "repository", ages)
    failures = {image.repository: image.failures for image in census.images}
    yield _gauges("image_build_failures", "Builds that failed since its last good one", "repository", failures)
    yield _gauges("warm_boxes", "Warm boxes: wanted, waiting for a session, getting ready", "state", pools)
    yield _gauge("boxes_awaited", "Sessions that wait because there are as many boxes as there may be", census.queued)
    yield _gauges("queue_jobs", "Jobs that wait for a worker", "queue", census.queues)
    yield _gauges("workers", "Workers alive", "queue", census.workers)
    yield _gauge("upkeep", "1: an upkeep is at work", int(census.upkeep))
    yield _gauge("snapshots_unnamed", "Snapshots that wait to be let go", census.unnamed)
    server = census.server
    yield _gauge("redis_memory_bytes", "Memory that Redis uses", server.used)
    yield _gauge("redis_memory_limit_bytes", "Memory that Redis may use; 0: no limit", server.limit)
    yield _gauge("redis_keeps", "1: Redis writes its append-only file", int(server.keeps))
    yield _gauge("redis_written", "1: its last write there went well", int(server.written))
    yield _gauges("disk_free_bytes", "Free bytes of a folder's disk", "folder", _part(census, "free"))
    yield _gauges("disk_bytes", "All bytes of a folder's disk", "folder", _part(census, "size"))


def _of_outcomes(summary: Summary | None) -> Iterator[Metric]:
    """What became of the sessions of the last days: by repository and agent, as old as the summary is."""
    labels = ["repository", "agent"]
    counts = GaugeMetricFamily(
        "shipmate_outcomes", "What became of the sessions of the last 30 days", labels=[*labels, "counted"]
    )
    dollars = GaugeMetricFamily("shipmate_outcome_dollars", "What models took of those sessions", labels=labels)
    for row in summary.rows if summary is not None else ():
        for counted in COUNTED:
            counts.add_metric([row.repository, row.agent, counted], getattr(row, counted))
        if row.cost is not None:
            dollars.add_metric([row.repository, row.agent], row.cost)
    yield counts
    yield dollars
    at = summary.at if summary is not None else 0.0
    yield _gauge("outcomes_timestamp_seconds", "When the upkeep counted them; 0: it has not", at)


def _part(census: Census, field: str) -> dict[str, int]:
    return {name: getattr(disk, field) for name, disk in census.disks.items()}


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"shipmate_{name}", text, value=value)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"shipmate_{name}", text, labels=[label])
    for value, count in sorted(values.items()):
        family.add_metric([value], count)
    return family


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"shipmate_{name}", text, value=value)


def _counters(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(f"shipmate_{name}", text, labels=[label])
    for value, count in sorted(values.items()):
        family.add_metric([value], count)
    return family


def _under(totals: Mapping[str, float], prefix: str) -> dict[str, float]:
    return {name.removeprefix(prefix): value for name, value in totals.items() if name.startswith(prefix)}


def _stages(totals: Mapping[str, float]) -> Metric:
    """Histograms of the seconds from a session's first prompt to each stage; the totals count each bucket alone."""
    family = HistogramMetricFamily(
        "shipmate_stage_seconds", "From a session's first prompt, received, to a stage", labels=["stage"]
    )
    alone: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for name, value in totals.items():
        stage, _, bound = name.rpartition(":")
        alone[stage][bound] = value
    for stage in MOMENTS:
        counts, below = alone[stage], 0.0
        buckets = []
        for bound in (*STAGE_BOUNDS, "more"):
            below += counts.get(bound, 0.0)
            buckets.append(("+Inf" if bound == "more" else bound, below))
        family.add_metric([stage], buckets, sum_value=counts.get("seconds", 0.0))
    return family
