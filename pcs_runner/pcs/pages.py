"""Lists that come page by page, read to their end whatever the server says about their length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pcs_runner.pcs.errors import AnswerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pcs_runner.pcs.answers import Jsend

LONGEST_PAGE = 100
"""Most items that the API gives at once."""

MOST_PAGES = 100_000
"""Beyond this a list does not end."""


def read_pages(
    page: Callable[[int, int], Jsend], name: str, *, start: int = 0, stop: int | None = None, moving: bool = False
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Items of a list with their positions, asked for page by page.

    A page that brings nothing new ends the list, or is an error when it says something that was said before. The server's
    total is used only where it agrees with what has come.

    Args:
        page: Gets offset and limit, gives the answer.
        name: Method and path, for messages.
        start: First position.
        stop: Position after the last one; None for all.
        moving: Whether new items may come first and push known ones onto the next page, where they are then passed over.

    Raises:
        AnswerError: A page is not a list of objects with ids, repeats items, or the list does not end.
    """
    seen: set[str] = set()
    position = start
    for _ in range(MOST_PAGES):
        limit = LONGEST_PAGE if stop is None else min(LONGEST_PAGE, stop - position)
        if limit <= 0:
            return
        answer = page(position, limit)
        items = _items(answer, name)
        fresh = [item for item in items if item["id"] not in seen]
        if len(fresh) < len(items) and not (moving and fresh):
            raise AnswerError(f"{name} repeats items from offset {position}, so its list cannot be read", request=name)
        for item in items if stop is None else items[: stop - position]:
            if item["id"] not in seen:
                yield position, item
            position += 1
        seen.update(item["id"] for item in items)
        if not items or _is_last(len(items), limit, answer.total, position):
            return
    raise AnswerError(f"{name} does not end: {MOST_PAGES} pages were read", request=name)


def _is_last(count: int, limit: int, total: int | None, position: int) -> bool:
    if total is not None and total >= position:
        return total == position
    return count < limit


def _items(answer: Jsend, name: str) -> list[dict[str, Any]]:
    items = answer.data
    if not isinstance(items, list):
        raise AnswerError(f"{name} was answered with something that is not a list", request=name)
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("id"), str):
            raise AnswerError(f"{name} lists something without an id", request=name)
    ids = {item["id"] for item in items}
    if len(ids) < len(items):
        raise AnswerError(f"{name} lists the same item twice", request=name)
    return items
