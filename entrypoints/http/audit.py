"""The audit: what happened, in words and as it is stored, and what was sealed of it."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import orjson

from adapters.postgres import audit_log
from adapters.postgres.audit_log import AuditLog, Line, Span
from adapters.postgres.conditions import Condition, any_of
from adapters.postgres.filing import filed
from adapters.postgres.references import BEGINNING
from domain.aggregates import EVENTS
from domain.errors import Invalid
from entrypoints.http import audit_models as models
from entrypoints.http.epochs import refuse_other_epoch
from entrypoints.http.errors import problem_details
from entrypoints.http.headers import EPOCH, LINK
from entrypoints.http.paging import cursor_of, cursor_to, next_link
from entrypoints.http.reading import SHOWN, Reading, reading, resolve
from entrypoints.http.routing import Answer, Call, Interface, answer
from projections.audit_words import event_in_words, topics_that_say
from projections.registry import DATA_DEPLOYMENTS, DEPLOYMENTS

audit = Interface("audit", "/v1/audit", problem_details)
KINDS = frozenset(EVENTS)
LISTED = (*SHOWN, LINK)


@audit.get(
    "/v1/audit/events",
    action="audit.read",
    answer=models.AuditedEvents,
    takes=(EPOCH,),
    gives=LISTED,
    raises=(Invalid,),
)
async def search_events(call: Call, query: models.SearchEvents) -> Answer:
    """Search the organisation's events by who, what, where and when; a search that takes long goes on by its cursor."""
    organisation, newest = call.caller.organisation, query.order == "newest"
    refuse_other_epoch(call, positioned=True)
    numbers = cursor_of(call, query.cursor, more=1) if query.cursor else ()
    shown, since = (str(numbers[0]), str(numbers[2])) if numbers else (query.as_of, query.since)
    past = await reading(call, shown)
    to, behind = await last_position(call, past, query.to), await resolve(call, since, "from")
    log = AuditLog(call.app.pools)
    span = await log.span(organisation, behind, to)
    if numbers:
        span = rest_of(span, numbers[1], newest)
    found = await log.find(organisation, span, await conditions(call, query), query.limit, newest)
    events, headers = await told(call, found.lines), past.headers()
    if not found.rest:
        return answer({"events": events, "cursor": None}, headers=headers)
    # What `from` means may change before the next page is asked for.
    place = (to, found.rest.last if newest else found.rest.first, behind)
    body = {"events": events, "cursor": cursor_to(call, *place)}
    return answer(body, headers=headers | {"link": next_link(call, *place)})


def rest_of(span: Span, reached: int, newest: bool) -> Span:
    """What is left of it from where a page ended."""
    return Span(span.first, min(reached, span.last)) if newest else Span(max(reached, span.first), span.last)


async def last_position(call: Call, past: Reading, to: str | None) -> int:
    """The end of what is asked for; as far as the organisation's events go when nothing is said."""
    last = await past.reach_log()
    return last if to is None else min(last, await resolve(call, to, "to"))


async def conditions(call: Call, asked: models.AuditFilters) -> list[Condition]:
    """What the filters ask of an event."""
    found = [audit_log.of_topic(asked.topic)] if asked.topic else []
    found += [audit_log.of_stream(asked.stream)] if asked.stream else []
    found += [audit_log.by_actors(await pseudonyms(call, asked.actor))] if asked.actor else []
    found += [audit_log.saying(asked.text, topics_that_say(asked.text, KINDS))] if asked.text else []
    return found + await where_it_was(call, asked)


async def pseudonyms(call: Call, actor: str) -> list[str]:
    """Whoever is meant by a login or a pseudonym; nobody becomes known by being asked for."""
    known = await call.app.people.known_as(call.caller.organisation, [actor])
    return [actor.lower(), *known.values()]


async def where_it_was(call: Call, asked: models.AuditFilters) -> list[Condition]:
    """What is about a lane or an environment the read models know, once they are as far as the log; it stays there."""
    organisation, found = call.caller.organisation, list[Condition]()
    if asked.lane or asked.environment:
        await call.app.views.visible(organisation, DEPLOYMENTS)
        await call.app.views.visible(organisation, DATA_DEPLOYMENTS)
    if asked.lane and (lane := as_uuid(asked.lane)):
        of_lane = audit_log.about(organisation, DEPLOYMENTS, "lane_id", str(lane))
        found.append(any_of(audit_log.of_stream(f"lane-{lane}"), of_lane))
    elif asked.lane:
        found.append(audit_log.about(organisation, DEPLOYMENTS, "name", filed(asked.lane)))
    if asked.environment:
        name = filed(asked.environment)
        models_of = (DEPLOYMENTS, DATA_DEPLOYMENTS)
        found.append(any_of(*(audit_log.about(organisation, one, "environment", name) for one in models_of)))
    return found


def as_uuid(text: str) -> UUID | None:
    """An id; None when it is a name."""
    try:
        return UUID(text)
    except ValueError:
        return None


async def told(call: Call, lines: list[Line]) -> list[dict[str, Any]]:
    """Events in words, with logins beside pseudonyms."""
    events = [{**one, **{name: orjson.loads(one[name]) for name in ("envelope", "payload")}} for one in lines]
    people = [event["envelope"]["actor"]["id"] for event in events]
    names = await call.app.people.logins_of(call.caller.organisation, people)
    return [
        {
            **event,
            "occurred_at": event["envelope"]["occurred_at"],
            "actor": {"id": actor, "login": names[actor]},
            "summary": event_in_words(event["topic"], event["payload"]),
        }
        for event, actor in zip(events, people, strict=True)
    ]


@audit.get(
    "/v1/audit/checkpoints",
    action="audit.read",
    answer=models.Checkpoints,
    takes=(EPOCH,),
    gives=LISTED,
    raises=(Invalid,),
)
async def list_checkpoints(call: Call, query: models.ListCheckpoints) -> Answer:
    """List what was sealed, with the end of the organisation's own chain wherever it had grown."""
    organisation, past = call.caller.organisation, await reading(call, query.as_of)
    position = await past.reach_log()
    before = None if query.as_of is None else await call.app.runs.moment_at(position) or BEGINNING
    found = await call.app.checkpoints.of(organisation, query.after, query.limit, query.latest, before)
    full = len(found) == query.limit and not query.latest
    after = found[-1].number if full else None
    page = {"after": after, "limit": query.limit} | ({} if before is None else {"as_of": position})
    link = f'<{call.path}?{urlencode(page)}>; rel="next"'
    body = b'{"checkpoints":[%b],"after":%b}' % (
        ",".join(one.line for one in found).encode(),
        orjson.dumps(after),
    )
    return Answer(200, body, past.headers() | ({"link": link} if full else {}))
