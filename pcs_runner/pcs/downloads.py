"""Many things fetched at once and handed over in the order asked, with no more of them in memory than the window holds."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Executor, Future

K = TypeVar("K")
V = TypeVar("V")


def in_order(keys: Iterable[K], fetch: Callable[[K], V], pool: Executor, window: int) -> Iterator[tuple[K, V]]:
    """Fetch each key in the pool and yield key and value in the order of the keys.

    Args:
        keys: What to fetch; read only as far as the window reaches.
        fetch: Called in the pool's threads; its exception is raised here when its turn comes.
        pool: Runs the fetches.
        window: Most fetches that are under way or waiting to be handed over.
    """
    waiting: deque[tuple[K, Future[V]]] = deque()
    try:
        for key in keys:
            waiting.append((key, pool.submit(fetch, key)))
            if len(waiting) >= window:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        for _, future in waiting:
            future.cancel()
