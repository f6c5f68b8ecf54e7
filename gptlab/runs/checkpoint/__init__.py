"""What a run leaves on disk: whole or not there at all, verified when read, and nothing in it executable."""

from gptlab.runs.checkpoint.arrays import (
    arrays_as_bytes,
    arrays_from_bytes,
    check_finite,
    check_shapes,
    flattened,
)
from gptlab.runs.checkpoint.digests import SUMS
from gptlab.runs.checkpoint.folder import (
    CHECKPOINTS,
    FORMAT,
    OPTIMIZER,
    STATE,
    TRAINING,
    WEIGHTS,
    Checkpoint,
    Damaged,
    checkpoint_folders,
    read_checkpoint,
    step_folder,
    step_of,
    write_checkpoint,
)
from gptlab.runs.checkpoint.newest import (
    name_run,
    newest_or_refuse,
    newest_whole,
    put_back,
    remove_checkpoint,
    remove_leftovers,
    to_remove,
)

__all__ = [
    "CHECKPOINTS",
    "FORMAT",
    "OPTIMIZER",
    "STATE",
    "SUMS",
    "TRAINING",
    "WEIGHTS",
    "Checkpoint",
    "Damaged",
    "arrays_as_bytes",
    "arrays_from_bytes",
    "check_finite",
    "check_shapes",
    "checkpoint_folders",
    "flattened",
    "name_run",
    "newest_or_refuse",
    "newest_whole",
    "put_back",
    "read_checkpoint",
    "remove_checkpoint",
    "remove_leftovers",
    "step_folder",
    "step_of",
    "to_remove",
    "write_checkpoint",
]
