"""Rules may name people, and what is personal is recorded nowhere in clear: pseudonyms stand in its place."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from application.caller import Caller
from domain.rules import HouseRules

MARK = "person:"
# Claims that tell who somebody is, as GitHub, OpenID Connect and common issuers call them.
PERSONAL = frozenset(
    [
        "actor",
        "email",
        "family_name",
        "given_name",
        "login",
        "name",
        "nickname",
        "preferred_username",
        "sub",
        "unique_name",
        "upn",
        "user_login",
        "user_email",
        "username",
    ]
)
Rename = Callable[[str, str], str]


def renamed(rules: HouseRules, rename: Rename) -> HouseRules:
    """The rules with each claim's value as `rename` has it, which is given the claim's name and value."""

    def through(claims: Mapping[str, str]) -> dict[str, str]:
        return {name: rename(name, value) for name, value in claims.items()}

    return replace(
        rules,
        approval=tuple(replace(rule, claims=through(rule.claims)) for rule in rules.approval),
        roles=tuple(replace(rule, claims=through(rule.claims)) for rule in rules.roles),
    )


def claims_in(rules: HouseRules) -> list[tuple[str, str]]:
    """Names and values of all claims."""
    claims = [*(rule.claims for rule in rules.approval), *(rule.claims for rule in rules.roles)]
    return [claim for one in claims for claim in one.items()]


def personal_texts(rules: HouseRules) -> set[str]:
    """What must not be recorded in clear."""
    return {value for name, value in claims_in(rules) if is_personal(name, value)}


def is_personal(name: str, value: str) -> bool:
    """Whether a claim must not be recorded in clear; what looks like a pseudonym must not pass for one either."""
    return name.lower() in PERSONAL or value.startswith(MARK)


def sealed(rules: HouseRules, pseudonyms: Mapping[str, str]) -> HouseRules:
    """The rules as they are recorded: pseudonyms, by what they stand for, in the place of what is personal."""
    return renamed(rules, lambda name, value: MARK + pseudonyms[value] if is_personal(name, value) else value)


def opened(rules: HouseRules, texts: Mapping[str, str]) -> HouseRules:
    """The rules as people read them: texts, by pseudonym, where pseudonyms are recorded."""
    return renamed(rules, lambda _, value: texts[value.removeprefix(MARK)] if value.startswith(MARK) else value)


def pseudonyms_in(rules: HouseRules) -> set[str]:
    """The people that the rules name."""
    return {value.removeprefix(MARK) for _, value in claims_in(rules) if value.startswith(MARK)}


def texts_of(caller: Caller, rules: HouseRules) -> set[str]:
    """What the caller's claims say where the rules name people."""
    named = {name for name, value in claims_in(rules) if value.startswith(MARK)}
    return {text for name in named if (text := caller.says(name)) is not None}
