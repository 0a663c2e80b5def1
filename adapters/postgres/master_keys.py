"""Whether the master key is the one that a store's logins are sealed under."""

from typing import Any

from psycopg import AsyncConnection

from adapters.keyring import unseal
from adapters.postgres.migrations import connected
from domain.errors import Unavailable

ONE = "select organisation, wrapped_key from rollbook.organisations where wrapped_key is not null limit 1"


async def refuse_other_key(owner_url: str, key: bytes | None) -> None:
    """Unavailable when the store is sealed and the key is another or missing: a new one would lock all logins away."""
    async with await connected(owner_url) as connection:
        if await opens(connection, key):
            return
    raise Unavailable(
        "The logins of this store are sealed under another master key: "
        "put it back as secrets/master.key in DATA_DIR, or set MASTER_KEY"
    )


async def opens(connection: AsyncConnection[Any], key: bytes | None) -> bool:
    """Whether this master key is the one that organisations' keys are wrapped under; where there are none, any is."""
    sealed = await (await connection.execute(ONE)).fetchone()
    try:
        return sealed is None or (key is not None and bool(unseal(key, bytes(sealed[1]), sealed[0].encode())))
    except PermissionError:
        return False
