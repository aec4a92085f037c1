"""Walks through a list that the server gives page by page, the newest first, while new entries may be added in front."""

from collections.abc import Callable
from dataclasses import dataclass

from alertbot.domain.evidence import Evidence
from alertbot.flashback.evidence_payloads import PAGE, EvidencePage

MOST_PAGES = 20


@dataclass(frozen=True, slots=True)
class EvidenceFound:
    """What a list holds, the newest first, each once. Without `is_whole` there is more, older than all of this."""

    found: tuple[Evidence, ...]
    is_whole: bool
    unreadable: int = 0


def walk(
    ask: Callable[[int], EvidencePage], *, has_time: Callable[[], bool], most_pages: int = MOST_PAGES
) -> EvidenceFound:
    """Ask for page after page, each by how many entries to skip, until the list ends or enough is enough.

    What is added in front meanwhile pushes entries from one page to the next, where they come a second time; it hides none.
    """
    found: dict[str, Evidence] = {}
    skip = unreadable = 0
    for _ in range(most_pages):
        page = ask(skip)
        before = len(found)
        found |= {one.id: one for one in page.found}
        unreadable += page.unreadable
        skip += page.length
        # A server may give less at once than it was asked for.
        is_last = skip >= page.total if page.total is not None else page.length < PAGE
        if is_last or not page.length:
            return EvidenceFound(tuple(found.values()), is_whole=True, unreadable=unreadable)
        if len(found) == before or not has_time():
            break  # a server that does not skip would go on for ever
    return EvidenceFound(tuple(found.values()), is_whole=False, unreadable=unreadable)
