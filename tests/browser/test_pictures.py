"""What is drawn can be seen and read: on a phone, in both schemes, on paper."""

import itertools

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from keyturn.core.agent import DAY
from keyturn.core.generations import Generation
from keyturn.dashboard.generations_chart import generations_chart
from keyturn.testing import Server
from tests.browser.conftest import address
from tests.browser.people import OPERATOR, sign_in

NOW = 1_800_000_000_000
SPANS = (90_000, 1_200_000, 5_000_000, 12_000_000, 70_000_000, 3 * DAY, 41 * DAY, 3999 * DAY)
BARS = ("good", "warn", "bad", "accent", "quiet", "muted")
AGENTS = 40


@pytest.fixture(scope="module")
def agent_id(server: Server) -> str:
    """The first of more agents than a screen shows."""
    register = f"{server.url}/v1/auth/agent-register"
    made = [httpx.post(register, json={"name": f"drawn {n}"}).json() for n in range(AGENTS)]
    first: str = made[0]["agentId"]
    return first


def told(parts: int, span: int) -> str:
    """A picture of so many generations in such a time."""
    began = [NOW - span + span * part // parts for part in range(parts)]
    shown = [
        Generation(part + 1, began[part], None, "rotated_by_agent", []) for part in range(parts)
    ]
    return str(generations_chart(shown[::-1], began[0], NOW))


@pytest.mark.parametrize(("width", "least"), [(320, 35), (390, 35), (770, 50), (1280, 50)])
def test_labels_of_the_axis_of_time_do_not_touch(
    page: Page, agent_id: str, width: int, least: int
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"/dashboard/agents/{agent_id}")
    shown = 0
    for span, parts in itertools.product(SPANS, (1, 12)):
        labels = page.evaluate(
            """picture => {
                document.querySelector('svg.generations').outerHTML = picture;
                const frame = document.querySelector('svg.generations').getBoundingClientRect();
                return [...document.querySelectorAll('svg.generations text[y="86"]')]
                    .map(text => [text.getBoundingClientRect(), text.textContent])
                    .filter(([box]) => box.width)
                    .map(([box, text]) => [box.left - frame.left, box.right - frame.right, text])
                    .sort(([a], [b]) => a - b);
            }""",
            told(parts, span),
        )
        frame = page.locator("svg.generations").bounding_box()
        assert frame is not None
        for (_, ends, _), (begins, _, _) in itertools.pairwise(labels):
            assert begins - (ends + frame["width"]) >= 4, (span, parts, labels)
        assert labels[0][0] >= -1 and labels[-1][1] <= 1, (span, parts, labels)
        shown += len(labels)
    assert shown >= least


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_bar_stands_out_from_its_card(page: Page, scheme: str) -> None:
    """WCAG 2.2, 1.4.11: 3 to 1."""
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto("/dashboard")
    colours = page.evaluate(
        """names => names.map(name => {
            document.body.innerHTML = `<svg><rect class="fill-${name}"/></svg>`;
            const { fill } = getComputedStyle(document.querySelector('rect'));
            return fill.match(/[0-9.]+/g).map(Number);
        })""",
        ["card", *BARS],
    )
    card, *bars = (luminance(colour) for colour in colours)
    contrasts = {name: contrast(card, bar) for name, bar in zip(BARS, bars, strict=True)}
    assert {name: found for name, found in contrasts.items() if found < 3} == {}


def luminance(colour: list[float]) -> float:
    """Of an sRGB colour, as WCAG has it."""
    parts = [part / 255 for part in colour]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


@pytest.mark.usefixtures("agent_id")
def test_paper_has_the_whole_list_of_agents(page: Page) -> None:
    page.set_viewport_size({"width": 718, "height": 1000})
    page.emulate_media(media="print")
    page.goto("/dashboard/agents")
    region = page.get_by_role("region", name="List of agents")
    assert region.locator("tbody tr").count() == AGENTS
    cut = region.evaluate(
        """region => [...region.querySelectorAll('tbody tr, tbody .name')]
            .filter(each => each.getBoundingClientRect().right > innerWidth)
            .concat(getComputedStyle(region).overflow === 'visible' ? [] : [region])
            .map(each => each.textContent.trim())"""
    )
    assert cut == []


def test_each_button_that_ends_a_session_says_which(
    page: Page, chromium: Browser, server: Server
) -> None:
    for _ in range(2):
        context = chromium.new_context(base_url=address(server))
        sign_in(context.new_page(), OPERATOR)
        context.close()
    page.goto("/dashboard/account")
    buttons = page.get_by_role("button", name="End the session")
    expect(buttons.nth(1)).to_be_visible()
    names = [button.get_attribute("aria-label") for button in buttons.all()]
    assert len(set(names)) == len(names)
