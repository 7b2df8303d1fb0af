"""Figures as text."""

import json
from pathlib import Path

import pytest

from bench.report import as_json, between_markers, measurements, ratios, table
from bench.suite import Figures, Measurement, Outcome, Ratio, take_turns
from bench.timing.order import round_robin, shuffled
from bench.timing.report import Samples, as_data, compare, markdown


def two_rounds() -> Figures:
    return Figures(
        {
            "slow": [Outcome(1000, 1.0, 2.0, errors=1), Outcome(3000, 3.0, 4.0, errors=2)],
            "fast": [Outcome(4000, 0.1, 0.2), Outcome(6000, 0.1, 0.2)],
        }
    )


def test_a_table_aligns_its_columns_with_numbers_to_the_right() -> None:
    assert table([["what", "n"], ["a", "1,000"]]).splitlines() == [
        "| what |     n |",
        "| ---- | ----: |",
        "| a    | 1,000 |",
    ]


def test_a_measurement_shows_medians_its_spread_and_all_its_errors() -> None:
    cells = [cell.strip() for cell in measurements(two_rounds()).splitlines()[2].split("|")]
    assert cells[1:7] == ["slow", "2,000", "1,000–3,000", "2.00", "3.00", "3"]


def test_a_ratio_is_taken_within_each_round() -> None:
    spread = two_rounds().ratio(Ratio("share", "slow", "fast"))
    assert spread is not None
    assert (spread.low, spread.median, spread.high) == (0.25, 0.375, 0.5)


def test_a_ratio_of_something_that_was_not_measured_is_left_out() -> None:
    assert ratios(two_rounds(), [Ratio("share", "slow", "absent")]) == ""


def test_every_round_is_kept_as_json() -> None:
    kept = json.loads(as_json(two_rounds(), [Ratio("share", "slow", "fast")], {"cores": "2"}))
    assert [round_["rate"] for round_ in kept["measurements"]["slow"]] == [1000, 3000]
    assert kept["ratios"]["share"]["median"] == 0.375
    assert kept["machine"] == {"cores": "2"}


def test_text_between_markers_is_replaced_and_the_rest_stays() -> None:
    page = "before\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nafter\n"
    expected = "before\n<!-- bench: begin -->\nnew\n<!-- bench: end -->\nafter\n"
    assert between_markers(page, "bench", "new\n") == expected


@pytest.mark.parametrize(
    "page", ["", "<!-- bench: begin -->", "<!-- bench: end --><!-- bench: begin -->"]
)
def test_a_page_without_its_markers_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="lacks the markers"):
        between_markers(page, "bench", "new")


def test_every_measurement_takes_its_turn_once_in_every_round() -> None:
    ran: list[str] = []

    def measurement(name: str) -> Measurement:
        def run(seconds: float) -> Outcome:
            ran.append(name)
            return Outcome(rate=1 / seconds, p50=0, p99=0)

        return Measurement(name, run)

    figures = take_turns([measurement(name) for name in "abc"], rounds=4, seconds=0.5)
    assert [sorted(ran[at : at + 3]) for at in range(0, 12, 3)] == [["a", "b", "c"]] * 4
    assert [outcome.rate for outcome in figures.rounds["b"]] == [2, 2, 2, 2]


def test_commits_of_several_rows_count_every_row() -> None:
    outcome = Outcome.of_times([1_000_000, 2_000_000, 3_000_000], 0.5, each=8)
    assert (outcome.rate, outcome.p50, outcome.p99) == (48, 2.0, 3.0)


def test_strict_turns_repeat_one_order() -> None:
    assert round_robin(3, 2) == [0, 1, 2, 0, 1, 2]


def test_random_order_gives_everybody_the_same_number_of_turns_and_is_repeatable() -> None:
    order = shuffled(3, 100, seed=1)
    assert [order.count(turn) for turn in range(3)] == [100, 100, 100]
    assert order == shuffled(3, 100, seed=1) != round_robin(3, 100)


def planted_run() -> Samples:
    steady = [100.0 + at % 7 for at in range(700)]
    return Samples(
        "Planted",
        ["one", "same", "later"],
        [steady, steady[::-1], [time + 20 for time in steady]],
        different=("later",),
    )


def test_a_planted_difference_is_told_apart_and_equals_are_not() -> None:
    pairs = compare(planted_run())
    assert [(pair.first, pair.second, pair.told_apart) for pair in pairs] == [
        ("one", "same", False),
        ("one", "later", True),
        ("same", "later", True),
    ]
    assert all(pair.as_expected for pair in pairs)


def test_a_difference_where_none_may_be_is_marked() -> None:
    run = planted_run()
    unplanned = Samples(run.title, run.names, run.times)
    assert markdown(unplanned, compare(unplanned)).count("told apart (!)") == 2


def test_the_timing_tables_show_medians_differences_and_verdicts() -> None:
    run = planted_run()
    lines = markdown(run, compare(run)).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert ["later", "700", "123.0", "123.0", "126.0"] in cells
    assert next(row for row in cells if row[:1] == ["one − same"])[1:3] == ["+0.00", "+0.00"]
    assert as_data(run, compare(run))["medians"]["later"] == 123


def test_the_page_of_each_comparison_has_the_markers_it_is_written_between() -> None:
    pages = {"bench": "performance", "timing": "timing", "checks": "checks", "scale": "checks"}
    for name, page in pages.items():
        between_markers((Path("docs") / f"{page}.md").read_text(), name, "")
