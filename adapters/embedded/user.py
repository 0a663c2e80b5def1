"""Whom a server of ours runs as: whoever we are, but as root an ordinary user, which Postgres insists on."""

import ctypes
import os
import pwd
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

NOBODY = 65534
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, CLONE_NEWUSER = 1, 4, 0x10000000
LIBRARIES = tuple(f"{place}/libnss_wrapper.so" for place in ("lib", "lib64", "lib/*-linux-gnu"))
libc = ctypes.CDLL(None, use_errno=True)


def is_root() -> bool:
    """Whether our servers must become somebody else."""
    return os.geteuid() == 0


def server_user() -> int:
    """The user id that our servers have."""
    return NOBODY if is_root() else os.geteuid()


def is_listed(user: int) -> bool:
    """Whether the system knows a name for this user id; in a container it often does not."""
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True


def borrowed_name(home: Path, seen_as: str) -> dict[str, str]:
    """Environment under which a nameless user has a name, where the system has nss_wrapper for that; else nothing."""
    user = server_user()
    library = next((path for place in LIBRARIES for path in Path("/usr").glob(place)), None)
    if is_listed(user) or library is None:
        return {}
    for file, line in (("passwd", f"rollbook:x:{user}:{user}::/:/bin/false"), ("group", f"rollbook:x:{user}:")):
        (home / file).write_text(f"{line}\n")
        (home / file).chmod(0o644)
    names = {"NSS_WRAPPER_PASSWD": f"{seen_as}/passwd", "NSS_WRAPPER_GROUP": f"{seen_as}/group"}
    return {"LD_PRELOAD": str(library), **names}


def ordinary_child(death_signal: signal.Signals, named: bool = False) -> Callable[[], None]:
    """What a child does before it becomes a server of ours.

    It leaves our process group, so that Ctrl-C reaches us alone, who then stop it in order; when we are gone, however
    that came, it gets `death_signal`. As root it becomes nobody. If it must be `named`, a nameless user gets a name.
    """
    parent = os.getpid()
    name = listed_user() if named and not is_listed(server_user()) else None

    def prepare() -> None:
        os.setpgid(0, 0)
        if is_root():
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        if name is not None:
            be_called(name)
        libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def listed_user() -> int:
    """A user id that the system knows and that is not root's."""
    return NOBODY if is_listed(NOBODY) else next((one.pw_uid for one in pwd.getpwall() if one.pw_uid), NOBODY)


def be_called(user: int) -> None:
    """Has this process see itself as another user id, in a namespace of its own; its rights stay what they were."""
    uid, gid = os.geteuid(), os.getegid()
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    if libc.unshare(CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "no user namespace")
    with suppress(FileNotFoundError):
        Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{user} {gid} 1")
