"""Follows the feed for as long as it is wanted, and hands each event to your function once."""

import time
from collections.abc import Callable, Iterator, Sequence
from random import uniform
from typing import Any

import httpx2

from rollbook_subscriber.checkpoint import Checkpoint, Checkpoints
from rollbook_subscriber.reading import CONNECT_SECONDS, Block, EpochChanged, Event, Unreachable, blocks, check

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
Handle = Callable[[Any, Event], object]


class Subscriber:
    """A subscriber with a name under which it goes on where it stopped, in whichever process.

    `wanted` are the filters of the feed: topic, aggregate, lane, environment, name; several values in a list.
    `patience` is how many seconds the server may be silent: it speaks every fifteen.
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        token: str | None = None,
        organisation: str | None = None,
        patience: float = 60.0,
        **wanted: str | Sequence[str],
    ) -> None:
        self.url = url.rstrip("/")
        self.name = name
        self.headers = {"Accept": "text/event-stream", "User-Agent": "rollbook-subscriber"}
        self.headers |= {"Authorization": f"Bearer {token}"} if token else {}
        self.headers |= {"X-Organisation": organisation} if organisation else {}
        self.timeout = httpx2.Timeout(patience, connect=CONNECT_SECONDS)
        self.wanted = [(key, one) for key, value in wanted.items() for one in several(value)]
        self.checkpoint: Checkpoint | None = None
        self.pause = FIRST_PAUSE
        self.stopping = False
        self.raised: BaseException | None = None

    def run(self, connection: Any, handle: Handle, follow: bool = True) -> None:
        """Calls `handle(connection, event)` for every event from the first on, until `stop`; without `follow` until
        the present.

        What it does over the connection and the place in the feed are committed together, so that every event takes
        effect once. What it raises ends the run, and takes the transaction back. Raises EpochChanged, Refused and
        Overtaken; whatever else fails is tried again.
        """
        checkpoints = Checkpoints(connection, self.name)
        self.checkpoint = checkpoints.prepare()
        self.stopping = False
        while not self.stopping:
            after = None
            try:
                if self.read_once(checkpoints, handle, follow):
                    return
            except (httpx2.RequestError, httpx2.StreamError, Unreachable) as problem:
                if problem is self.raised:
                    raise
                after = getattr(problem, "after", None)
            self.rest(after)

    def stop(self) -> None:
        """Ends the run after what is being handled; also from another thread or a signal."""
        self.stopping = True

    def forget(self, connection: Any) -> None:
        """Goes back to the beginning, in your open transaction: remove in it what you built."""
        Checkpoints(connection, self.name).forget()

    def rest(self, after: float | None) -> None:
        """Waits before the next try: longer each time, and scattered."""
        end = time.monotonic() + (after if after is not None else self.pause * uniform(0.75, 1.25))
        self.pause = min(self.pause * 2, LONGEST_PAUSE)
        while not self.stopping and time.monotonic() < end:
            time.sleep(min(0.1, max(0.0, end - time.monotonic())))

    def read_once(self, checkpoints: Checkpoints, handle: Handle, follow: bool) -> bool:
        """Reads until the connection ends; True when that was all."""
        with self.opened(follow) as response:
            check(response)
            place = self.place_in(response)
            return self.take_all(checkpoints, handle, blocks(response.iter_bytes()), place)

    def opened(self, follow: bool) -> Any:
        """The feed from the checkpoint on."""
        at = self.checkpoint
        headers = {**self.headers, "Last-Event-ID": at.place if at else "0"}
        headers |= {"X-Rollbook-Epoch": str(at.epoch)} if at else {}
        params: Any = [*self.wanted, ("follow", "true" if follow else "false")]
        return httpx2.stream("GET", f"{self.url}/v1/events", params=params, headers=headers, timeout=self.timeout)

    def place_in(self, response: httpx2.Response) -> Checkpoint:
        """Where the feed begins; EpochChanged when it is not the one that the checkpoint is of."""
        store = response.headers.get("x-rollbook-store", "")
        epoch = int(response.headers.get("x-rollbook-epoch", "1"))
        at = self.checkpoint
        if at and (at.store, at.epoch) != (store, epoch):
            raise EpochChanged(f"This is epoch {epoch} of store {store}, no longer {at.epoch} of {at.store}")
        return at or Checkpoint("0", store, epoch)

    def take_all(
        self, checkpoints: Checkpoints, handle: Handle, found: Iterator[list[Block]], place: Checkpoint
    ) -> bool:
        """Handles what comes, and commits at the end of what came at once; True when that was all.

        Without filters what Rollbook commits at once is never cut in two: the beginning of it waits for the rest.
        """
        begun: list[Block] = []
        try:
            for some in found:
                whole, begun = self.split(begun + some)
                for block in whole:
                    place = self.take(checkpoints, handle, block, place)
                    if self.stopping and self.ends_commit(block):
                        break
                self.settle(checkpoints, place)
                if self.stopping or any(block.ends for block in whole):
                    return True
        finally:
            checkpoints.rollback()
        return False

    def split(self, found: list[Block]) -> tuple[list[Block], list[Block]]:
        """What is whole, and the beginning of what is not."""
        ends = [number for number, block in enumerate(found, 1) if self.ends_commit(block)]
        end = ends[-1] if ends else 0
        return found[:end], found[end:]

    def ends_commit(self, block: Block) -> bool:
        """Whether what Rollbook committed at once ends here."""
        event = block.event
        return event is None or bool(self.wanted) or event.position == event.commit_position

    def take(self, checkpoints: Checkpoints, handle: Handle, block: Block, place: Checkpoint) -> Checkpoint:
        """Handles one block; the place behind it."""
        if (event := block.event) is not None:
            checkpoints.begin()
            try:
                handle(checkpoints.connection, event)
            except BaseException as problem:
                self.raised = problem
                raise
        return place if block.place is None else Checkpoint(block.place, place.store, place.epoch)

    def settle(self, checkpoints: Checkpoints, place: Checkpoint) -> None:
        """Commits what was done together with the place."""
        if place != self.checkpoint:
            checkpoints.begin()
            checkpoints.save(self.checkpoint, place)
            checkpoints.commit()
            self.checkpoint, self.pause = place, FIRST_PAUSE


def several(value: str | Sequence[str]) -> Sequence[str]:
    """One value or many, as many."""
    return [value] if isinstance(value, str) else value
