"""A short run of schemathesis, the same every time; `make faults` has the long one."""

from .fuzz import fuzz


def test_the_server_keeps_every_promise_of_its_openapi_document() -> None:
    report = fuzz(examples=2, seed=1)
    assert report.passed, report.output
    assert report.never_succeeded == set()
    assert report.cases > 0
