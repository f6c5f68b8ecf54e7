"""What a run leaves on disk: whole or not there at all, verified when read, and nothing in it executable."""

from gptlab.checkpoint.arrays import arrays_as_bytes, arrays_from_bytes, check_finite, check_shapes
from gptlab.checkpoint.digests import SUMS
from gptlab.checkpoint.files import (
    CONFIG,
    METRICS,
    PLUGINS,
    RUN,
    SAMPLES,
    TOKENIZER,
    append_whole,
    read_identity,
    read_json,
    sync,
    write_atomic,
    write_json,
    write_text,
)
from gptlab.checkpoint.folder import (
    CHECKPOINTS,
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
from gptlab.checkpoint.keeping import remove_checkpoint, remove_leftovers, to_remove
from gptlab.checkpoint.naming import name_run, put_back
from gptlab.checkpoint.newest import newest_or_refuse, newest_whole
from gptlab.checkpoint.state import FORMAT

__all__ = [
    "CHECKPOINTS",
    "CONFIG",
    "FORMAT",
    "METRICS",
    "OPTIMIZER",
    "PLUGINS",
    "RUN",
    "SAMPLES",
    "STATE",
    "SUMS",
    "TOKENIZER",
    "TRAINING",
    "WEIGHTS",
    "Checkpoint",
    "Damaged",
    "append_whole",
    "arrays_as_bytes",
    "arrays_from_bytes",
    "check_finite",
    "check_shapes",
    "checkpoint_folders",
    "name_run",
    "newest_or_refuse",
    "newest_whole",
    "put_back",
    "read_checkpoint",
    "read_identity",
    "read_json",
    "remove_checkpoint",
    "remove_leftovers",
    "step_folder",
    "step_of",
    "sync",
    "to_remove",
    "write_atomic",
    "write_checkpoint",
    "write_json",
    "write_text",
]
