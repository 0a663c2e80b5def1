"""The options that several commands share: the taxonomy's fields and the filters of a list."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from domain.status import Status, Trigger

TAXONOMY = "Taxonomy"


class Provider(StrEnum):
    """The clouds that the queue knows."""

    GCP = "gcp"
    AWS = "aws"
    AZURE = "azure"


class Kind(StrEnum):
    """What is deployed."""

    K8S = "k8s"
    TERRAFORM = "terraform"
    DATA_PIPELINE = "data_pipeline"


Id = Annotated[str, typer.Argument(metavar="ID", help="A deployment's id.")]
Name = Annotated[
    str | None,
    typer.Option("--name", help="Component or service.", rich_help_panel=TAXONOMY),
]
Cloud = Annotated[
    Provider | None,
    typer.Option("--provider", help="Cloud provider.", rich_help_panel=TAXONOMY),
]
Account = Annotated[
    str | None,
    typer.Option(
        "--account",
        "--cloud-account-id",
        help="Cloud account.",
        rich_help_panel=TAXONOMY,
    ),
]
Region = Annotated[str | None, typer.Option("--region", help="Cloud region.", rich_help_panel=TAXONOMY)]
Cell = Annotated[str | None, typer.Option("--cell", help="Cell.", rich_help_panel=TAXONOMY)]
Environment = Annotated[
    str | None,
    typer.Option("--environment", "--env", help="Environment.", rich_help_panel=TAXONOMY),
]
NoCell = Annotated[
    bool,
    typer.Option("--no-cell", help="Only deployments without a cell.", rich_help_panel=TAXONOMY),
]
Statuses = Annotated[list[Status] | None, typer.Option("--status", help="May be given several times.")]
Triggers = Annotated[Trigger | None, typer.Option("--trigger", help="What set it off.")]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", metavar="REF", help="The answer as it was then: a time, a position, -15m, production~3."),
]
ValidAt = Annotated[
    str | None,
    typer.Option("--valid-at", metavar="REF", help="What was really live then, by all corrections since."),
]
Reason = Annotated[str, typer.Option("--reason", help="Why; everybody can read it in the history.")]
WhyNot = Annotated[
    str | None,
    typer.Option("--reason", help="Why; everybody can read it in the history."),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key",
        help="The same key again means the same request: it happens once.",
    ),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Where to put it; - is stdout. Else its own name, here.")
]
