"""Fine-tuning: a run that starts from another's weights, with its model, its ops and its vocabulary."""

from gptlab.finetuning.start import Start, beginning_of, starting_weights

__all__ = ["Start", "beginning_of", "starting_weights"]
