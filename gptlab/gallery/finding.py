"""The files of the gallery by name: gptlab's own, those of plugins, those of ./experiments/gallery, which win."""

from __future__ import annotations

from pathlib import Path

from gptlab.config.experiments import folder_of
from gptlab.errors import unknown_name
from gptlab.gallery.entry import Entry, read_entry
from gptlab.plugins.discovery import brought_folders

FOLDER = "experiments"
GALLERY = "gallery"


def entry_files() -> dict[str, Path]:
    """Sorted by name."""
    folders = [folder_of(FOLDER), *brought_folders(FOLDER, of_all=True), Path.cwd() / FOLDER]
    found = {file.stem: file for folder in folders for file in (folder / GALLERY).glob("[!.]*.yaml")}
    return dict(sorted(found.items()))


def entry_named(name: str) -> Entry:
    """Raises UserError for a name that there is not, with the nearest, and for a file that is no entry."""
    files = entry_files()
    if name not in files:
        raise unknown_name("entry of the gallery", name, files, "python -m gptlab gallery lists them.")
    return read_entry(name, files[name])
