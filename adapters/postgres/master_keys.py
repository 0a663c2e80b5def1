"""Whether the master key is the one that a store's logins are sealed under."""

from adapters.keyring import unseal
from adapters.postgres.migrations import connected
from domain.errors import Unavailable

ONE = "select organisation, wrapped_key from rollbook.organisations where wrapped_key is not null limit 1"


async def refuse_other_key(owner_url: str, key: bytes | None) -> None:
    """Unavailable when the store is sealed and the key is another or missing: a new one would lock all logins away."""
    async with await connected(owner_url) as connection:
        sealed = await (await connection.execute(ONE)).fetchone()
    if sealed is None:
        return
    try:
        unseal(key or b"\0" * 32, bytes(sealed[1]), sealed[0].encode())
    except PermissionError:
        raise Unavailable(
            "The logins of this store are sealed under another master key: "
            "put it back as secrets/master.key in DATA_DIR, or set MASTER_KEY"
        ) from None
