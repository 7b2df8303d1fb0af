"""schemathesis over the live OpenAPI document, long."""

from tests.schema.fuzz import fuzz

from .outcome import Outcome

RUNS = 100


def run(runs: int, seed: int) -> Outcome:
    """At most `runs` requests for each operation and phase."""
    report = fuzz(examples=runs, seed=seed)
    outcome = Outcome(runs=1, points=report.cases)
    if not outcome.check(report.passed, "schemathesis found failures: see its output above"):
        print(report.output)
    outcome.check(
        not report.never_succeeded, f"never succeeded: {', '.join(sorted(report.never_succeeded))}"
    )
    return outcome
