"""Where an experiment keeps its artifacts: in a folder of its own beside the store, whatever it is called."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from gptlab.tracking.opening import experiment_id
from gptlab.tracking.store import find_store, open_store

NAMES = [
    "..",
    ".",
    "...",
    "../../up",
    "a/../../b",
    "/etc",
    "~",
    "%2e%2e",
    "file:///tmp/x",
    "..\\x",
    ".hidden",
    " ",
]
NAMES += ["x" * 400, "größe 日本", "a\nb", "\x1b]0;t\x07", "?q#f"]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_the_name_of_an_experiment_leads_nowhere_else(mlflow_folder: Path, name: str) -> None:
    store = find_store()
    client = open_store(store)
    location = client.get_experiment(experiment_id(client, store, name)).artifact_location
    place = Path(unquote(urlsplit(location).path))
    assert place.parent.resolve() == (mlflow_folder / "mlartifacts").resolve() == place.resolve().parent
    assert not place.name.startswith(".")
    place.mkdir(parents=True)
    assert experiment_id(client, store, name) == experiment_id(client, store, name)
