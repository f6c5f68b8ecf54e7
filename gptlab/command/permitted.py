"""What a config may ask of Hydra, which makes whatever object a config names: in another's file that is anybody's code.

A file may set plain values: where runs go, and numbers and names for the launchers and sweepers that are known. What is
typed may set more. Neither names code, or looks into the environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gptlab.errors import UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig, ListConfig

GROUPS_OF_FILES = ("hydra/launcher", "hydra/sweeper", "hydra/sweeper/sampler")
OF_FILES = re.compile(
    r"hydra\.(?:"
    r"mode|verbose|output_subdir|run\.dir|sweep\.(?:dir|subdir)|job\.chdir"
    # joblib's; submitit's, without `setup` and the like, which are lines of a shell; Ray's
    r"|launcher\.(?:n_jobs|backend|prefer|require|verbose|timeout|batch_size"
    r"|timeout_min|(?:cpus|gpus)_per_(?:task|node|gpu)|tasks_per_node|nodes|name|mem_gb|mem_per_(?:gpu|cpu)|partition|qos"
    r"|constraint|exclude|gres|account|comment|signal_delay_s|max_num_timeout|array_parallelism"
    r"|ray\.(?:remote|init)\.num_(?:cpus|gpus))"
    # the basic one's, Optuna's
    r"|sweeper\.(?:max_batch_size|n_trials|n_jobs|direction|study_name|max_failure_rate|params\..+|sampler\.[a-z]\w*"
    r"|storage\.(?:prune|startup))"
    r")"
)
# Classes that are made for a config: Hydra's own, those of its plugins that are installed, samplers, gptlab's storage.
KNOWN = re.compile(
    r"(?:hydra\._internal\.core_plugins|hydra_plugins|optuna\.samplers)\.[\w.]+|gptlab\.sweeps\.study\.begin_study"
)
HANDLERS = ("logging.StreamHandler", "logging.FileHandler")
STREAMS = re.compile(r"(?:ext|cfg)://(?!sys\.std(?:out|err)$)")
CODE = ("_target_", "()")
RESOLVERS = ("now", "hydra")
REFERENCE = re.compile(r"\$\{([^:}]*)([:}])")


def resolver_in(text: str) -> str:
    """The first `${name:...}` that asks for more than the config itself and the time; empty if there is none."""
    for name, end in REFERENCE.findall(text):
        if "${" in name or (end == ":" and name.strip() not in RESOLVERS):
            return f"${{{name}{end}"
    return ""


def refuse_resolvers(text: str, shown: str) -> None:
    """Raises UserError for a value that looks into the environment, or calls anything else. shown: `key=value`."""
    if found := resolver_in(text):
        raise UserError(
            f"a value may refer only to another key, ${{model.nEmbd}}, or to the time, ${{now:%H-%M}}: got {shown}, "
            f"with {found}... Write out what it stands for."
        )


def refuse_code_typed(text: str) -> None:
    """Raises UserError for an override of Hydra's own keys that has a class or a function made or called."""
    if any(sign in text for sign in CODE):
        raise UserError(
            f"a command must not name code for Hydra to run: got '{text}'. Put code of your own into a plugin: see "
            "docs/plugins.md"
        )


def refuse_code(hydra: DictConfig) -> None:
    """Raises UserError for Hydra's part of a composed config that would have unknown code run."""
    for path, value in leaves(hydra, "hydra"):
        last = path.rpartition(".")[2]
        code = (last == "_target_" and not KNOWN.fullmatch(str(value))) or path.endswith("()")
        if ".job_logging." in path or ".hydra_logging." in path:
            code |= (last == "class" and value not in HANDLERS) or STREAMS.match(str(value)) is not None
        if code or path.startswith("hydra.callbacks."):
            raise UserError(
                f"a config must not name code for Hydra to run: got {path}: {value}. Leave it out."
            )


def leaves(part: DictConfig | ListConfig, path: str) -> Iterator[tuple[str, Any]]:
    """Each value with its path; a reference by what it stands for, if that is known yet.

    Raises UserError for a reference to a part, which would be looked at where it is and acted on here.
    """
    from omegaconf import DictConfig, ListConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    for key in list(part) if isinstance(part, DictConfig) else range(len(part)):
        place = f"{path}.{key}"
        refers = OmegaConf.is_interpolation(part, key)
        try:
            value = None if OmegaConf.is_missing(part, key) else part[key]
        except OmegaConfBaseException:  # of the run, which has not begun
            continue
        if not isinstance(value, (DictConfig, ListConfig)):
            yield place, value
        elif refers:
            raise UserError(
                f"none of Hydra's keys may refer to a whole part of the config: got {place}. Write the part out."
            )
        else:
            yield from leaves(value, place)
