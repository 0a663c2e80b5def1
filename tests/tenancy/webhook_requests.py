"""For every route of webhooks a request that one tenant may send."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.tenancy.requests import Build, Facts, Hand

# Nobody listens there.
URL = "http://127.0.0.1:9/"


def nothing(hand: "Hand") -> "Facts":
    """The path says it all."""
    return {}


def past(hand: "Hand") -> "Facts":
    """Nothing but perhaps a moment."""
    return {"params": hand.moment()}


def webhook(hand: "Hand") -> "Facts":
    """A webhook whose name and address are nobody else's business."""
    return {"json": {"name": hand.mine.mark, "url": URL + hand.mine.mark, "filters": {"names": []}}}


ONE = "/v1/webhooks/{webhook_id}"
WEBHOOK_REQUESTS: "dict[str, Build]" = {
    "POST /v1/webhooks": webhook,
    "GET /v1/webhooks": past,
    f"GET {ONE}": past,
    f"PATCH {ONE}": lambda hand: {"json": {"name": hand.mine.mark, "url": URL + hand.mine.mark}},
    f"DELETE {ONE}": nothing,
    f"POST {ONE}/rotate-secret": nothing,
    f"POST {ONE}/pause": lambda hand: {"json": {"reason": hand.mine.mark}},
    f"POST {ONE}/resume": nothing,
    f"POST {ONE}/test": nothing,
    f"POST {ONE}/replay": lambda hand: {"json": {"state": "dead"}},
    f"GET {ONE}/deliveries": nothing,
    f"POST {ONE}/deliveries/{{delivery_id}}/replay": nothing,
}
