"""`register=NAME`: under which name and alias a run's model goes into MLflow's model registry.

Loads no MLflow: a name that it would refuse at the end of a run is refused before step 1.
"""

import re

from gptlab.config.typed import Config
from gptlab.errors import UserError

ALIAS = "newest"  # `latest` is MLflow's own, and refused by it
LONGEST = 255


def check_registering(config: Config) -> None:
    """Raises UserError for a `register` or `registerAlias` that MLflow would refuse, or that nobody would act on."""
    name, alias = config.register, config.registerAlias
    if name is None:
        return
    if config.tracking.name != "mlflow":
        raise UserError(f"register={name} needs tracking=mlflow: got tracking={config.tracking.name}.")
    if not config.tracking.get("logModel", True):
        raise UserError(f"register={name} needs the model that tracking.logModel=true logs: got false.")
    fitting = re.sub(r"[/:\s]+", "-", name).strip("-.") or "sentences"
    if not name.strip() or re.search(r"[/:\x00-\x1f]", name) or name in (".", "..") or len(name) > LONGEST:
        raise UserError(
            f"register must be a name of at most {LONGEST} characters without / and : got {name[:300]!r}. "
            f"Try register={fitting[:LONGEST]}."
        )
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", alias) or re.fullmatch(r"(?i)latest|v\d+", alias):
        raise UserError(
            "registerAlias must be letters, digits, - and _, and neither latest nor v1, v2 ... (which are MLflow's "
            f"own): got {alias[:300]!r}. Try registerAlias={ALIAS}."
        )
