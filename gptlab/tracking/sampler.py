"""A run's model as MLflow serves it: prompts in, texts out."""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from gptlab.errors import UserError

PROMPT = "prompt"


class Sampler(PythonModel):
    """`predict(["the cat"], params={"temperature": 0.5, "n": 3})`."""

    def load_context(self, context: PythonModelContext) -> None:
        """Build the model from the run's folder among the artifacts. Raises MlflowException if it cannot be."""
        from gptlab import load
        from gptlab.plugins.loading import load_plugins

        try:
            self.run = load(Path(context.artifacts["run"]), registry=load_plugins(quiet=True).registry)
            self.run.model  # noqa: B018 - what is wrong with it is said now
        except UserError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from None

    # With this type of its input MLflow leaves the checking to the signature, and warns of nothing.
    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[str]:
        """`n` texts for each prompt, those of the first prompt first.

        model_input: a list of strings, or a DataFrame with a column `prompt` (MLflow makes a DataFrame of
        the list). params: temperature, topK, topP, n, seed, as `python -m gptlab generate` takes them; the
        same seed gives the same texts for a prompt, whatever other prompts come with it. Raises
        MlflowException (HTTP 400) for a prompt outside the vocabulary and values out of range.
        """
        how = {"n": 1, **(params or {})}
        try:
            return [text for prompt in _prompts(model_input) for text in self.run.generate(prompt, **how)]
        except UserError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from None


def _prompts(frame: pd.DataFrame) -> list[str]:
    columns = list(frame.columns)
    if columns not in ([PROMPT], [0]):
        shown = ", ".join(map(str, columns))
        raise UserError(f"the input must be a list of strings or have one column, {PROMPT}: it has {shown}.")
    return [str(prompt) for prompt in frame[columns[0]]]
