"""Fine-tuning: a run that starts from another's weights, with its model, its ops and its vocabulary."""

from gptlab.finetuning.original import Original, original_data
from gptlab.finetuning.start import Start, beginning_of, starting_weights

__all__ = ["Original", "Start", "beginning_of", "original_data", "starting_weights"]
