"""unsent.jsonl: where an earlier gptlab kept what it could not send. Of it only the first line counts: the rest is
in the folder's other files."""

from pathlib import Path
from typing import Any

from gptlab import strict_json
from gptlab.config.addresses import join_address
from gptlab.errors import UserError
from gptlab.runs.folder import RunFolder

UNSENT = "unsent.jsonl"
FORMAT = 1


def take_in_unsent(folder: RunFolder) -> None:
    """Have run.json tell what sending takes. Raises UserError for a file that gptlab did not write."""
    path = folder.path / UNSENT
    if not path.exists() or "store" in folder.identity():
        return
    folder.update(**facts_in(path))


def facts_in(path: Path) -> dict[str, Any]:
    try:
        first, *rest = [strict_json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if first["format"] != FORMAT:
            raise ValueError("its format is another")
        run, store = first["run"], first["store"]
        counts: dict[str, int] = {"total": 0, "trainable": 0}
        for matrix in run["matrices"]:
            counts["total"] += matrix["count"]
            counts["trainable"] += matrix["count"] * matrix.get("trainable", True)
            counts[matrix["part"]] = counts.get(matrix["part"], 0) + matrix["count"]
        ends = {line["write"]: line for line in rest if "write" in line}
        reasons = [line["value"] for line in rest if line.get("name") == "error"]
        end = ends.get("status", {"status": "KILLED", "ended": None})
        return {
            **{key: run[key] for key in ("name", "description", "tags", "dataset")},
            **({"id": run["id"]} if run["id"] else {}),
            **{key: first[key] for key in ("experiment", "process", "began")},
            "typed": first["command"],
            "store": join_address(store["uri"], store.get("user", ""), ""),
            "parameters": counts,
            "status": end["status"],
            "ended": end["ended"],
            "reason": reasons[0] if reasons else "",
            "synced": False,
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{path} must be as gptlab wrote it, and is not ({error}). Move it away.") from None
