"""The code of an MLflow model that gptlab logged: its own folder has the weights, gptlab has the rest."""

from mlflow.models import set_model

from gptlab.tracking.sampler import Sampler

set_model(Sampler())
