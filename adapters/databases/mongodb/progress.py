"""How far the documents of a collection have come: half of the way is being looked at, half is being written."""

from dataclasses import dataclass

from application.ports.databases import Report


@dataclass(slots=True)
class Telling:
    """Reports each document once, in steps that a progress bar can follow."""

    report: Report
    name: str
    documents: int = 0
    told: int = 0

    def read(self, documents: int) -> None:
        """More documents are known."""
        self.documents += documents
        self.reach(self.documents // 2)

    def wrote(self, share: float) -> None:
        """A share of them is written."""
        self.reach(self.documents // 2 + int((self.documents - self.documents // 2) * share))

    def reach(self, documents: int) -> None:
        """Tells what is new."""
        if documents > self.told:
            self.report(self.name, documents - self.told)
            self.told = documents
