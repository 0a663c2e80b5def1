"""How far a pack is, of how much: what is expected gives way to what was counted."""

from typing import Any

from application.packing import Progress


class Watched:
    """An attempt that somebody watches."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, Any]] = []

    def progress(self, **facts: Any) -> None:
        self.seen.append((facts["done"], facts.get("total")))


def watched() -> tuple[Progress, Watched]:
    attempt: Any = Watched()
    return Progress(attempt), attempt


def test_the_total_is_known_before_the_first_row_and_is_right_after_the_last() -> None:
    progress, attempt = watched()
    progress.expect({"customers": 10, "orders": 5})
    for table, rows in (("customers", 6), ("customers", 2), ("orders", 2), ("orders", 6)):
        progress.report(table, rows)
    progress.finish()
    assert attempt.seen == [(0, 15), (6, 15), (8, 15), (10, 13), (16, 16), (16, 16)]


def test_what_nobody_expected_has_no_total() -> None:
    progress, attempt = watched()
    progress.report("customers", 3)
    assert attempt.seen == [(3, None)]
