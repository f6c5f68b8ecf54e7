"""The verbs, a row each. A verb's file is imported when it is typed, and has HELP and `run`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType

from gptlab.config import schema as config
from gptlab.config.typed import Config

FILES = "gptlab.cli.verbs"  # where they are


@dataclass(frozen=True)
class Verb:
    """config: the dataclass of its keys; None if it takes words alone. usage: how it is typed, if not by itself.

    root: the file in conf/ that its config begins with, if not its own. file: the module that does it. launches:
    whether it has runs made by a launcher, as a sweep does, without being one.
    """

    name: str
    config: type | None
    usage: str = ""
    root: str = ""
    file: str = ""
    launches: bool = False

    @property
    def help(self) -> str:
        """What --help prints."""
        text: str = import_module(self.file or f"{FILES}.{self.name}").HELP
        return text

    def run(self, arguments: list[str]) -> int:
        """Do it, with what is typed behind it; the exit status. Raises UserError for what cannot be meant."""
        status: int = import_module(self.file or f"{FILES}.{self.name}").run(arguments)
        return status

    @property
    def describes_a_run(self) -> bool:
        """Whether it takes what training takes, such as an experiment."""
        return self.config is not None and issubclass(self.config, Config)


ROWS = (
    Verb("train", Config),
    Verb("generate", config.GenerateConfig, "generate run=latest"),
    Verb("export", config.ExportConfig, "export latest"),
    Verb("import", config.ImportConfig, "import weights.json", file=f"{FILES}.importing"),
    Verb(
        "ablate", config.AblateConfig, "ablate +experiment=tiny arms='[model/norm=layernorm]'", launches=True
    ),
    Verb("gallery", config.GalleryConfig, "gallery squaredrelu", launches=True),
    Verb("ledger", None),
    Verb("compare", config.CompareConfig, "compare RUN RUN"),
    Verb("inspect", config.InspectConfig, "inspect run=latest text='the cat'"),
    Verb("summary", Config, root="train"),
    Verb("graph", config.GraphConfig),
    Verb("sync", None, "sync runs/..."),
    Verb("ui", config.UiConfig),
    Verb("play", config.PlayConfig, "play run=latest"),
    Verb("plugins", None),
    Verb("check", None),
)
VERBS: Mapping[str, Verb] = MappingProxyType({verb.name: verb for verb in ROWS})
# The schemas of the files in conf/, by their names: each is a verb's.
ROOTS = {verb.name: verb.config for verb in ROWS if verb.config is not None and not verb.root}
