"""People in an organisation's rules: known by pseudonym in the log, by name to whoever asks."""

from dataclasses import replace

from application import pseudonyms
from application.caller import Caller
from domain.rules import HouseRules
from entrypoints.http.routing import Call


async def without_names(call: Call, rules: HouseRules) -> HouseRules:
    """The rules as they may be recorded; who is named for the first time gets a pseudonym."""
    people, organisation = call.app.people, call.caller.organisation
    known = {text: str((await people.actor(organisation, text)).id) for text in pseudonyms.personal_texts(rules)}
    return pseudonyms.sealed(rules, known)


async def with_names(call: Call, rules: HouseRules) -> HouseRules:
    """The rules as people read them; `erased` stands for whoever was forgotten."""
    named = pseudonyms.pseudonyms_in(rules)
    return pseudonyms.opened(rules, await call.app.people.logins_of(call.caller.organisation, named))


async def with_pseudonyms(call: Call, caller: Caller, rules: HouseRules) -> Caller:
    """The caller with the pseudonyms by which the rules may mean them."""
    texts = pseudonyms.texts_of(caller, rules)
    known = await call.app.people.known_as(caller.organisation, texts) if texts else {}
    return replace(caller, pseudonyms=known) if known else caller
