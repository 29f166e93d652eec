"""Signed links: who holds one may look, until it expires."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from bot.web.links import DAY, BadLink, ViewLinks

NOW = 1_700_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def test_a_public_link_is_for_everybody_and_stays_the_same_all_day() -> None:
    links = ViewLinks("secret", "https://ship.test/", Clock())
    url = links.public("s1", NOW)
    assert url.startswith("https://ship.test/view/s1?")
    assert links.viewer("s1", query(url)) == ""
    assert links.public("s1", NOW + 60) == url


def test_a_personal_link_names_its_person_and_holds_for_a_quarter_of_an_hour() -> None:
    clock = Clock()
    links = ViewLinks("secret", "https://ship.test", clock)
    asked = query(links.personal("s1", "U01ADA"))
    assert links.viewer("s1", asked) == "U01ADA"
    clock.now += 901
    with pytest.raises(BadLink, match="too old"):
        links.viewer("s1", asked)


def test_a_public_link_holds_for_a_month() -> None:
    clock = Clock()
    links = ViewLinks("secret", "https://ship.test", clock)
    asked = query(links.public("s1", NOW))
    clock.now += 30 * DAY
    assert links.viewer("s1", asked) == ""
    clock.now += 2 * DAY
    with pytest.raises(BadLink, match="too old"):
        links.viewer("s1", asked)


@pytest.mark.parametrize(
    "change",
    [{"viewer": "U02"}, {"expires": "9999999999"}, {"signature": ""}, {"signature": "é\udcff"}, {"expires": "\udcff"}],
)
def test_a_changed_link_is_refused(change: dict[str, str]) -> None:
    links = ViewLinks("secret", "https://ship.test", Clock())
    with pytest.raises(BadLink, match="changed"):
        links.viewer("s1", query(links.personal("s1", "U01ADA")) | change)


def test_a_link_is_for_one_session_and_of_one_secret() -> None:
    links = ViewLinks("secret", "https://ship.test", Clock())
    asked = query(links.public("s1", NOW))
    with pytest.raises(BadLink):
        links.viewer("s2", asked)
    with pytest.raises(BadLink):
        ViewLinks("another", "https://ship.test", Clock()).viewer("s1", asked)
    with pytest.raises(BadLink):
        links.viewer("s1", {})
