"""The arithmetic, the tables and the picture of the measurement of checks."""

import xml.etree.ElementTree as ET

import pytest

from bench.checks import wrk
from bench.checks.chart import LABELS, bar_chart
from bench.checks.plan import BARE, BY_ASGI, SERVED, STATEMENTS
from bench.checks.requests import malformed, message, unknown
from bench.checks.rotator import Rotations
from bench.checks.run import picture
from bench.checks.statements import Statement, statements_table
from bench.report import measurements
from bench.suite import Figures, Outcome, Ratio
from bench.timing.contenders import PREFIX
from keyturn.core.credential import Credential, Kind

PRINTED = (
    '{"good": 300, "wrong": 1, "connect": 2, "read": 3, "write": 4, "timeout": 5, '
    '"duration": 1500000, "p50": 1500, "p99": 9000}'
)


def figures(fast: float, slow: float, *, errors: int = 0, p99: float = 2.0) -> Figures:
    return Figures(
        {
            "fast": [Outcome(fast, 1.0, 2.0), Outcome(fast, 1.0, 2.0)],
            "slow": [Outcome(slow, 1.0, p99, errors=errors), Outcome(slow, 1.0, p99)],
        }
    )


SHARE = Statement(Ratio("slow / fast", "slow", "fast"), 0.7)
LATER = Statement(Ratio("p99, slow / fast", "slow", "fast", "p99"), 1.5, at_least=False)
ALONE = Statement("slow", 5000)


def test_the_figures_of_wrk_are_on_its_last_line() -> None:
    found = wrk.parse(f"Running 1s test\n  2 threads\n{PRINTED}\n")
    outcome = wrk.outcome_of(found, load_busy=0.5, server_busy=1.0)
    assert outcome == Outcome(200.0, 1.5, 9.0, errors=15, load_busy=0.5, server_busy=1.0)


@pytest.mark.parametrize("printed", ["", "unable to connect", "Running\n  2 requests in 1.0s"])
def test_wrk_without_figures_is_an_error_that_says_what_it_printed(printed: str) -> None:
    with pytest.raises(RuntimeError, match="no figures: why"):
        wrk.parse(printed, "why")


def test_a_request_has_its_headers_and_the_length_of_its_body() -> None:
    assert message("GET", "/x", {"A": "b"}) == b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\nA: b\r\n\r\n"
    assert message("POST", "/", body=b"abc").endswith(b"\r\nContent-Length: 3\r\n\r\nabc")


def test_unknown_keys_are_well_formed_and_malformed_ones_are_not() -> None:
    parsed = [
        [Credential.parse(key, Kind.API_KEY, PREFIX) is not None for key in made(5)]
        for made in (unknown, malformed)
    ]
    assert parsed == [[True] * 5, [False] * 5]


def test_rotations_count_within_the_time_of_the_load_alone() -> None:
    found = Rotations([0, 10, 20, 30])
    assert found.rate(10, 30) == 2 / 20e-9


@pytest.mark.parametrize(
    ("statement", "of", "verdict"),
    [
        (SHARE, figures(1000, 700), "met"),
        (SHARE, figures(1000, 699), "MISSED"),
        (SHARE, figures(1000, 700, errors=1), "met, with errors"),
        (SHARE, figures(1000, 0), "not measured"),
        (SHARE, figures(0, 700), "not measured"),
        (SHARE, Figures(), "not measured"),
        (LATER, figures(1, 1, p99=3.0), "met"),
        (LATER, figures(1, 1, p99=3.1), "MISSED"),
        (ALONE, figures(1, 5000), "met"),
        (ALONE, figures(1, 4999), "MISSED"),
        (ALONE, figures(1, 4999, errors=1), "MISSED, with errors"),
        (ALONE, Figures(), "not measured"),
    ],
)
def test_a_statement_is_met_missed_or_not_measured(
    statement: Statement, of: Figures, verdict: str
) -> None:
    assert statement.verdict(of) == verdict


def test_the_table_shows_the_target_beside_the_measured_and_leaves_nothing_out() -> None:
    lines = statements_table(figures(1000, 600), [SHARE, LATER, ALONE, Statement("none", 1)])
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines.splitlines()[2:]]
    assert cells == [
        ["slow / fast", "≥ 0.70", "0.60", "0.60–0.60", "MISSED"],
        ["p99, slow / fast", "≤ 1.50", "1.00", "1.00–1.00", "met"],
        ["slow, a second", "≥ 5,000", "600", "600–600", "MISSED"],
        ["none, a second", "≥ 1", "", "", "not measured"],
    ]


def test_every_promised_ratio_is_a_statement() -> None:
    targets = {
        (it.measured.of, it.measured.to, it.measured.value): it.target
        for it in STATEMENTS
        if isinstance(it.measured, Ratio)
    }
    assert targets[BY_ASGI, BARE, "rate"] == 0.70
    assert targets[SERVED, BARE, "rate"] == 1.3
    assert targets[SERVED, BARE, "p99"] == 1.5
    assert targets["forward-auth, 50 rotations (serve)", SERVED, "rate"] == 0.9


def test_rotations_have_columns_where_there_were_some() -> None:
    some = Figures({"a": [Outcome(1, 1, 1)], "b": [Outcome(1, 1, 1)]})
    some.rounds["b"][0] = Outcome(1, 1, 1, rotations=49.6, rotator_busy=0.25)
    cells = [[cell.strip() for cell in row.split("|")] for row in measurements(some).splitlines()]
    assert cells[0][-3:-1] == ["rotations a second", "rotator"]
    assert [row[-3:-1] for row in cells[2:]] == [["", ""], ["50", "0.25"]]


def test_a_chart_has_bars_in_proportion_and_names_what_it_shows() -> None:
    chart = bar_chart("A & B", [("a", 100, "limit"), ("b <c>", 25, "ours"), ("d", 0, "peer")])
    root = ET.fromstring(chart)
    bars = root.findall("{http://www.w3.org/2000/svg}rect")
    widths = [float(bar.get("width", "")) for bar in bars]
    assert [bar.get("x") for bar in bars] == [str(LABELS)] * 3
    assert widths[1] / widths[0] == 0.25
    assert widths[2] == 1
    assert root.findtext("{http://www.w3.org/2000/svg}desc") == "a: 100; b <c>: 25; d: 0"
    assert "prefers-color-scheme: dark" in chart


def test_the_picture_shows_the_limits_first_then_the_product_then_the_others() -> None:
    names = ["x (peer)", SERVED, BARE, "forward-auth, 50 rotations (serve)"]
    chart = picture(Figures({name: [Outcome(1, 1, 1)] for name in names}))
    assert chart.index(BARE) < chart.index(SERVED) < chart.index("x (peer)")
    assert "50 rotations" not in chart
