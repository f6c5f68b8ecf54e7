"""What is wrong with a built site: links to nothing, anchors that are not there, and what it loads from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "object": "data",
}
LOADING_LINKS = {
    "stylesheet",
    "preload",
    "icon",
    "modulepreload",
    "prefetch",
    "preconnect",
    "dns-prefetch",
    "manifest",
}
IN_CSS = re.compile(r"url\(\s*['\"]?((?:https?:)?//[^)'\"]+)|@import\s+['\"]((?:https?:)?//[^'\"]+)")


class Page(HTMLParser):
    """ids: what can be linked to. links: what it links to. loads: what a browser fetches with it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and LOADING_LINKS & set(given.get("rel", "").split()):
            self.loads.append(given.get("href", ""))
        if tag in LOADS and LOADS[tag] in given:
            self.loads.append(given[LOADS[tag]])
        if "style" in given:
            self.loads += elsewhere(given["style"])

    handle_startendtag = handle_starttag


def elsewhere(css: str) -> list[str]:
    """The addresses on other machines that a style sheet loads."""
    return [first or second for first, second in IN_CSS.findall(css)]


def problems(site: Path) -> list[str]:
    """In words, each once."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    found = [problem for path, page in pages.items() for problem in of_page(site, path, page, pages)]
    for sheet in site.rglob("*.css"):
        found += [
            f"{sheet.relative_to(site)} loads {one}" for one in elsewhere(sheet.read_text(encoding="utf-8"))
        ]
    return list(dict.fromkeys(found)) if pages else ["there is no page"]


def of_page(site: Path, path: Path, page: Page, pages: dict[Path, Page]) -> Iterator[str]:
    name = path.relative_to(site)
    if name.name == "404.html":  # it is shown at any address, and links from the root
        return
    for target in page.loads:
        if urlsplit(target).netloc:
            yield f"{name} loads {target}"
    for target in [*page.links, *page.loads]:
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            continue
        goal = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        goal = goal / "index.html" if goal.is_dir() else goal
        if not goal.is_file():
            yield f"{name} links to {target}, which is not there"
        elif parts.fragment and goal in pages and unquote(parts.fragment) not in pages[goal].ids:
            yield f"{name} links to {target}, and that page has no such place"
