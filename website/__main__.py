"""Build the site: `python -m website` writes it into site/, `python -m website FOLDER` elsewhere.

The pages are written into build/website first, Zensical makes the site of them in strict mode, and the HTML is then
looked through for dead links and for anything that it would load from another machine.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

from website import links, pages, reference
from website.navigation import SECTIONS

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "website"


def main(arguments: list[str]) -> int:
    began = time.monotonic()
    site = Path(arguments[0] if arguments else ROOT / "site").absolute()
    shutil.rmtree(WORK, ignore_errors=True)
    written = {**pages.pages(ROOT), **reference.pages()}
    for name, content in written.items():
        path = WORK / "pages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (WORK / "mkdocs.yml").write_text(yaml.safe_dump(settings(), sort_keys=False), encoding="utf-8")
    # Of the environment that this runs in, whichever that is.
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run([*command, "--config-file", str(WORK / "mkdocs.yml")], cwd=WORK, check=False)
    if done.returncode:
        print("docs: the site has not been built", file=sys.stderr)
        return 1
    shutil.rmtree(site, ignore_errors=True)
    shutil.move(WORK / "site", site)
    wrong = links.problems(site)
    for problem in wrong:
        print(f"docs: {problem}", file=sys.stderr)
    count = sum(1 for _ in site.rglob("*.html"))
    shown = site.relative_to(ROOT) if ROOT in site.parents else site
    print(f"site: {shown}, {count} pages in {time.monotonic() - began:.0f} s")
    print(f"to read it: python -m http.server --bind 127.0.0.1 --directory {shown}")
    return 1 if wrong else 0


def settings() -> dict[str, object]:
    """mkdocs.yml, as Zensical and Material for MkDocs read it."""
    return {
        "site_name": "gptlab",
        "site_description": "Take a GPT apart, change any piece, see what that does to learning.",
        "docs_dir": "pages",
        "site_dir": "site",
        "use_directory_urls": False,  # so that links also work from the disk
        "theme": {
            "name": "material",
            "language": "en",
            "font": False,  # Google's would be loaded from Google
            "features": [
                "navigation.sections",
                "navigation.top",
                "navigation.footer",
                "search.highlight",
                "content.code.copy",
            ],
            "palette": [
                {  # as the reader's system has it, until the reader chooses
                    "media": "(prefers-color-scheme)",
                    "toggle": {"icon": "lucide/sun-moon", "name": "Light"},
                },
                {
                    "media": "(prefers-color-scheme: light)",
                    "scheme": "default",
                    "toggle": {"icon": "lucide/sun", "name": "Dark"},
                },
                {
                    "media": "(prefers-color-scheme: dark)",
                    "scheme": "slate",
                    "toggle": {"icon": "lucide/moon", "name": "Light"},
                },
            ],
        },
        "extra": {"generator": False},
        "extra_css": ["site.css"],
        "plugins": ["search"],
        "markdown_extensions": [
            "attr_list",
            "md_in_html",
            "tables",
            {"toc": {"permalink": True, "toc_depth": 4}},
            "pymdownx.superfences",
            {"pymdownx.highlight": {"anchor_linenums": False}},
        ],
        "nav": SECTIONS,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
