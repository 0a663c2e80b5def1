"""Who a bearer token belongs to, as OIDC issuers and GitHub tell it."""
