"""The pages that people write: README.md, docs/ and CONTRIBUTING.md, with links that lead somewhere on the site.

In the repository a link goes to a file, as GitHub shows it; on the site one to a file that is no page goes to a page
that shows it. So both work, and nothing leads to an address that is not here.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from website.navigation import navigated
from website.notebook import as_markdown

LINK = re.compile(r"(?<=\]\()([^()\s]+)(?=\))")
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
WRITTEN = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "docs/notebook.ipynb": "notebook-run.md",
    "docs/tutorials/README.md": "tutorials/index.md",
    "docs/tutorials/from-one-number-to-a-gpt.ipynb": "tutorials/from-one-number-to-a-gpt.md",
}
LANGUAGES = {".py": "python", ".toml": "toml", ".yaml": "yaml", ".c": "c", ".md": "markdown"}
SHOWN_AS_FILE = "source"
IMAGES = (".png", ".svg", ".jpg")


def pages(root: Path) -> dict[str, bytes]:
    """Each file of the site's sources by its path there. Raises FileNotFoundError for a link to nothing."""
    docs = root / "docs"
    places = {path: str(path.relative_to(docs)) for path in sorted(docs.rglob("*.md"))}
    places |= {root / name: place for name, place in WRITTEN.items()}
    found: dict[str, bytes] = {}
    shown: dict[str, Path] = {}
    for path, place in places.items():
        if not path.exists():
            continue
        files: dict[str, bytes] = {}
        if path.suffix == ".ipynb":
            text, files = as_markdown(path)
        else:
            text = path.read_text(encoding="utf-8")
        rewriting = Rewriting(root, path.parent, place, places, shown, {*files})
        found[place] = rewriting.text(text).encode("utf-8")
        found |= {str(PurePosixPath(place).parent / name): content for name, content in files.items()}
    for path in docs.rglob("*"):
        if path.suffix in IMAGES:
            found[str(path.relative_to(docs))] = path.read_bytes()
    found |= {place: page_of(root, path) for place, path in shown.items()}
    found["site.css"] = (Path(__file__).parent / "site.css").read_bytes()
    lost = {place for path, place in places.items() if path.is_relative_to(docs)} - {*navigated()}
    if lost:
        raise FileNotFoundError(f"pages that website/navigation.py has not: {', '.join(sorted(lost))}")
    return found


class Rewriting:
    """The links of one page."""

    def __init__(
        self,
        root: Path,
        folder: Path,
        place: str,
        places: dict[Path, str],
        shown: dict[str, Path],
        beside: set[str],
    ):
        self.root, self.folder, self.place, self.places, self.shown = root, folder, place, places, shown
        self.beside = beside  # files that the page brings along

    def text(self, text: str) -> str:
        parts = FENCE.split(text)  # what is in a block is no link
        return "".join(part if part.startswith("```") else LINK.sub(self.link, part) for part in parts)

    def link(self, found: re.Match[str]) -> str:
        target = found[0]
        if re.match(r"[a-z]+:|#", target) or target in self.beside:
            return found[0]
        file, _, anchor = target.partition("#")
        path = Path(os.path.normpath(self.folder / file))
        if not path.exists() or not path.is_relative_to(self.root):
            raise FileNotFoundError(f"{self.place} links to {target}, which is not there")
        goal = self.goal(path)
        here = os.path.relpath(goal, str(PurePosixPath(self.place).parent))
        return f"{here}{'#' if anchor else ''}{anchor}"

    def goal(self, path: Path) -> str:
        """Where on the site it is."""
        docs = self.root / "docs"
        if path in self.places:
            return self.places[path]
        if path.is_relative_to(docs) and path.suffix in IMAGES:
            return str(path.relative_to(docs))
        place = f"{SHOWN_AS_FILE}/{path.relative_to(self.root)}{'/index' if path.is_dir() else ''}.md"
        self.shown[place] = path
        if path.is_dir():
            for file in files_in(path):
                self.shown[f"{SHOWN_AS_FILE}/{file.relative_to(self.root)}.md"] = file
        return place


def files_in(folder: Path) -> list[Path]:
    """What a folder shows of itself: its text files."""
    return [
        path for path in sorted(folder.iterdir()) if path.suffix in LANGUAGES and path.name != "__init__.py"
    ]


def page_of(root: Path, path: Path) -> bytes:
    """A page that shows a file, or what a folder holds."""
    name = path.relative_to(root)
    if path.is_dir():
        rows = [f"- [{file.name}]({file.name}.md)" for file in files_in(path)]
        return "\n".join([f"# {name}/", "", *rows, ""]).encode("utf-8")
    text = path.read_text(encoding="utf-8")
    fence = "`" * (max((len(run) for run in re.findall(r"`{3,}", text)), default=2) + 1)
    return f"# {name}\n\n{fence}{LANGUAGES.get(path.suffix, 'text')}\n{text}\n{fence}\n".encode()
