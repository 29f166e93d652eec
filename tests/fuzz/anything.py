"""Anything at all, for the tests beside this file: the same values on every run, and few enough to be quick."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

quickly = settings(
    derandomize=True, max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
HALVES = st.sampled_from(["\ud83d", "\udcff", "\x00", "\u202e", "\n", "‮", "\U000e0041"])
words = st.text(max_size=12) | HALVES | st.sampled_from(["../..", "-x", "NaN", "1e999", "9" * 5_000])
scalars = st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats() | words
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


def like(shape: object) -> st.SearchStrategy[object]:
    """Something of this shape, in which any part may be anything instead."""
    if isinstance(shape, dict):
        parts = {name: like(part) for name, part in shape.items()}
        return st.fixed_dictionaries({}, optional=parts) | st.fixed_dictionaries(parts) | json_values
    if isinstance(shape, list):
        inner = st.one_of([like(part) for part in shape]) if shape else json_values
        return st.lists(inner, max_size=3) | json_values
    return st.just(shape) | st.just(shape) | json_values
