"""Puts together whose tokens are believed: GitHub's, those of other issuers that the settings name, and our own."""

import time

from adapters.identity.github import GitHubTokens
from adapters.identity.oidc import OidcTokens, TrustedIssuer, github_actions
from adapters.identity.web import Web
from adapters.postgres.pools import Pools
from adapters.postgres.token_directory import PostgresTokenDirectory
from adapters.settings import Settings
from entrypoints.http.authentication import Authentication
from entrypoints.http.observing import count_authentication


def authentication_of(settings: Settings, pools: Pools, web: Web) -> Authentication:
    """Asks `web` for what issuers publish."""
    issuers = [github_actions(settings.github_oidc_issuer, settings.github_oidc_audience)]
    issuers += [TrustedIssuer(**one.model_dump(exclude_none=True)) for one in settings.oidc_issuers]
    return Authentication(
        enabled=settings.auth_enabled,
        default_organisation=settings.dev_organisation,
        allowed=settings.allowed_organisations,
        oidc=OidcTokens(issuers, web, time.time, settings.jwks_cache_ttl),
        github=GitHubTokens(
            settings.github_api_url, settings.github_api_version, web, time.time, settings.org_membership_cache_ttl
        ),
        tokens=PostgresTokenDirectory(pools, settings.read_wait_ms),
        clock=time.time,
        count=count_authentication,
    )
