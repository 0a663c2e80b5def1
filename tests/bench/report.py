"""Prints what was measured as tables for people, and keeps it in a JSON file when that is asked for."""

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psutil

WIDTH = 13
FIRST = 40


@dataclass
class Report:
    """Tables in the order in which they were measured; each row is printed and written as soon as it is known."""

    result: Path | None = None
    tables: list[dict[str, Any]] = field(default_factory=list)

    def begin(self, title: str, first: str, *columns: str) -> None:
        """A table, with the date and how busy the machine is with other things before it is measured."""
        others = psutil.cpu_percent(1.0)
        date = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        table = {"title": title, "date": date, "others_cpu_percent": others, "load_average": os.getloadavg()[0]}
        self.tables.append({**table, "columns": [first, *columns], "rows": [], "notes": []})
        self.say(f"\n{title} ({date}, {os.cpu_count()} cores, others use {others:.0f} % of them)")
        self.say(f"{first:{FIRST}}" + "".join(f"{column:>{WIDTH}}" for column in columns))

    def row(self, first: str, *figures: float | int | str) -> None:
        """A line of the table."""
        self.tables[-1]["rows"].append([first, *figures])
        self.say(f"{first:{FIRST}}" + "".join(f"{shown(figure):>{WIDTH}}" for figure in figures))
        self.write()

    def note(self, text: str) -> None:
        """A sentence below the table."""
        self.tables[-1]["notes"].append(text)
        self.say(text)
        self.write()

    def say(self, line: str) -> None:
        """A line on the output."""
        print(line, flush=True)

    def write(self) -> None:
        """All tables so far."""
        if self.result is not None:
            self.result.write_text(json.dumps(self.tables, indent=2))


def shown(figure: float | int | str) -> str:
    """A figure with as many digits as mean something."""
    if isinstance(figure, float):
        return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.2f}"
    return f"{figure:,}" if isinstance(figure, int) else figure


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of all is; 0 when there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def middle(values: list[float]) -> float:
    """The median; 0 when there are none."""
    return median(values) if values else 0.0
