"""gptlab.load: a finished run as a person asks it things in a notebook."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gptlab.data.beginning import first_token_of
from gptlab.errors import UserError, require
from gptlab.exchange.finding import find_run
from gptlab.exchange.loading import check_vocabulary, model_of, with_model
from gptlab.exchange.standard import standard_config
from gptlab.inspection.inspection import Inspection, inspect
from gptlab.loaded.views import Activations, Attention, Config, Curve, Curves, Page, Weights, curves
from gptlab.model.model import Model
from gptlab.plugins.loading import load_plugins
from gptlab.plugins.registry import Registry
from gptlab.runs.finding import ID, may_change
from gptlab.runs.folder import RunFolder
from gptlab.runs.saved_run import SavedRun
from gptlab.training.generation import Sampling, growing
from gptlab.training.metric_rows import Metrics
from gptlab.training.samplers import Sampler
from gptlab.training.smoothing import LOSS, with_smoothed

if TYPE_CHECKING:
    from gptlab.data.documents import Documents
    from gptlab.drawing.picture import Picture
    from gptlab.inspection.interventions import HeadEffects, Intervention, Interventions
    from gptlab.loaded.next_tokens import NextToken


class Loaded:
    """A run of `gptlab.load`. A file of weights is one, too, but has no losses.

    name: as it was called. folder: where it lies, None if it was fetched or is a file. step: the one that the
    weights are of, None if that is not known. source: the weights with all that is known of them.
    definition: the model that they are of. tokenizer: the vocabulary.

    Raises UserError for a run without a vocabulary, and for what is not registered or does not fit.
    """

    def __init__(
        self,
        saved: SavedRun,
        registry: Registry,
        engine: dict[str, Any] | None = None,
        rows: Callable[[], Metrics] = list,
    ):
        self.tokenizer = check_vocabulary(saved, registry)
        self.source, self._architecture = with_model(saved, registry)
        self.definition = self._architecture.definition
        self.folder = saved.folder
        self.step = saved.step
        identity = {} if saved.folder is None else RunFolder(saved.folder).identity()
        self.name = str(identity.get("name") or saved.name)
        self._registry = registry
        self._engine = engine
        self._rows = rows
        self._documents: dict[int, Documents] = {}

    @cached_property
    def config(self) -> Config:
        """The resolved config; `run.config.model.nEmbd` reads as `run.config["model"]["nEmbd"]`."""
        return Config(self.source.config or standard_config(self.source.sizes))

    @cached_property
    def weights(self) -> Weights:
        """The matrices by name, in the order of `params`: numpy arrays, float32 or float64."""
        return Weights(self.source.weights)

    @cached_property
    def model(self) -> Model:
        """The model on its engine, to be asked for `logits`, `loss`, `params` and `weights`."""
        return model_of(self.source, self._architecture, self._registry, self._engine)

    @cached_property
    def metrics(self) -> Curves:
        """All that was logged, by name: `steps, values = run.metrics["val/loss"]`."""
        return curves(self._rows())

    @property
    def losses(self) -> np.ndarray:
        """The training losses (N,) of single steps, in nats a token, at `run.metrics["train/loss"].steps`.

        Smoothed, as everywhere else: `run.metrics["train/smoothedLoss"].values`.
        Raises UserError if none are known.
        """
        if LOSS not in self.metrics:
            raise UserError(
                f"losses are those that a run logged: {self.name} has none. "
                'Load a run by its folder or its MLflow id: gptlab.load("latest").'
            )
        return self.metrics[LOSS].values

    def plot(self) -> Picture:
        """The losses, single steps and smoothed, the validation losses, and each metric: a matplotlib figure.

        As in the run's page of MLflow; its `axes` are the losses first. Raises UserError if no losses are known.
        """
        from gptlab.training.figures import loss_figure

        self.losses  # noqa: B018 - raises if there are none
        history = {name: points(curve) for name, curve in self.metrics.items()}
        data = {} if self.folder is None else RunFolder(self.folder).identity().get("dataset", {})
        return loss_figure(history, data.get("facts", {}), self.name, self.config.get("listeners") or ())

    def generate(
        self,
        prompt: str = "",
        n: int = 5,
        *,
        temperature: float = 0.8,
        topK: int = 0,
        topP: float = 1.0,
        seed: int = 0,
        repetitionPenalty: float = 1.0,
        sampler: str | Sampler = "standard",
        length: int | None = None,
    ) -> list[str]:
        """n texts that begin with the prompt; the same seed gives the same ones.

        temperature: 0 takes the likeliest word each time. topK: keep the k likeliest, 0 for all. topP: of
        those, the smallest set whose probabilities reach p. repetitionPenalty: logits of tokens that are there already
        are divided by it; 1 for none. sampler: what draws, by its name or itself: `"minp"`. length: how many tokens
        come after the prompt, also beyond blockSize; None for as many as that has room for.

        Raises UserError for a setting out of range, an unknown sampler, and a prompt that is outside the vocabulary or
        leaves no room to go on.
        """
        drawing = self._registry.get("sampler", sampler)() if isinstance(sampler, str) else sampler
        how = Sampling(n, temperature, topK, topP, prompt, seed, repetitionPenalty, drawing, length)
        return list(self.growing(how))[-1]

    def next(
        self, prompt: str = "", temperature: float = 1.0, topK: int = 0, count: int = 20
    ) -> list[NextToken]:
        """The likeliest tokens after the prompt, each with its probability: `run.next("the cat")[0].token`.

        share: when drawn at the temperature from the topK; probability: the model's own. A prompt may be longer than
        blockSize, and is seen from its last tokens then. Raises UserError for a setting out of range, and a prompt that
        is outside the vocabulary.
        """
        from gptlab.loaded.next_tokens import next_tokens

        return next_tokens(self, prompt, temperature, topK, count)

    def growing(self, how: Sampling) -> Iterator[list[str]]:
        """The texts of `generate` while they grow, a few tokens at a time; the last ones are those that it gives."""
        session, state, blockSize = self.model.session, self.model.state, self.definition.sizes.blockSize
        return growing(session, state, self.tokenizer, blockSize, how, self.start)

    def inspect(self, text: str) -> Inspection:
        """What the model makes of the text: losses, probabilities, attention, logit lens, attributions, ...

        numpy arrays; see gptlab.inspection.inspection.Inspection. Raises UserError for a text that is empty,
        longer than blockSize, or has what is not in the vocabulary.
        """
        model = self._architecture
        return inspect(model.definition, model.ops, self.source.weights, self.tokenizer, text, self.start)

    def attention(self, text: str) -> Attention:
        """Who looks at whom in the text: `.shares` (L, H, T, T) and `.plot()`. Raises UserError as `inspect`."""
        seen = self.inspect(text)
        return Attention(seen.text, seen.tokens, seen.attention, seen.notes)

    def activations(self, text: str) -> Activations:
        """What the model computes of the text, by name: numpy arrays, `run.activations("the cat")["layers.0.mlp"]`.

        T positions, E nEmbd, H heads, G heads of keys, D headDim, V vocabSize. `embedding` (T, E), what the first layer
        gets. Of each layer: `layers.0.query` (T, H, D), `key` and `value` (T, G, D), as `context.attend` gets them;
        `shares` (H, T, T), of attention; `heads` (T, H, D), what each has read; `attention` and `mlp` (T, E), what
        they add; `output` (T, E), the hidden state after the layer. `logits` (T, V). What a model has not, or computes
        in a loop, is not there. Raises UserError as `inspect`, and for a name of none the nearest ones.
        """
        return Activations(self._interventions(None).activations(text))

    def without(
        self,
        parts: str | Sequence[str],
        text: str,
        fill: str = "zero",
        *,
        source: str | None = None,
        documents: int = 200,
    ) -> Intervention:
        """The text without parts of the model: `run.without("layers.1.head.2", "the cat")`, its `losses` and `effects`.

        parts: `layers.1.head.2`, `layers.0.attention`, `layers.0.mlp`, one or several. fill: what they give instead:
        zero, or the mean of what they give over the positions of so many held-out documents. source: a text of as many
        tokens, of which they are to be instead. Raises UserError as `inspect`, for parts that there are not, and for a
        mean where the data cannot be had again.
        """
        held_out = self._held_out(documents) if fill == "mean" else None
        return self._interventions(held_out).without(parts, text, fill, source)

    def ablate_heads(
        self, text: str | None = None, fill: str = "zero", *, documents: int = 200
    ) -> HeadEffects:
        """What the mean loss gains without each head, each attention and each mlp, one at a time: a table.

        Of the text and of so many held-out documents; where these cannot be had its `note` says why. Raises UserError
        as `without`, and where there is neither.
        """
        held_out, note = None, ""
        try:
            held_out = self._held_out(documents)
        except UserError as error:
            if text is None or fill != "zero":
                raise
            note = f"no held-out documents: {error}"
        return replace(self._interventions(held_out).effects(text, fill), note=note)

    def _held_out(self, documents: int) -> Documents:
        require("documents", documents, at_least=1, example=200)
        if documents not in self._documents:
            from gptlab.loaded.held_out import held_out_of

            self._documents[documents] = held_out_of(self.source, self._registry, documents)
        return self._documents[documents]

    def _interventions(self, held_out: Documents | None) -> Interventions:
        from gptlab.inspection.interventions import Interventions

        model, weights = self._architecture, self.source.weights
        return Interventions(model.definition, model.ops, weights, self.tokenizer, self.start, held_out)

    def page(self, text: str) -> Page:
        """All that can be seen of the text, to hover over: shown in the notebook, or `.save("page.html")`."""
        from gptlab.inspection.page import page

        inspection = self.inspect(text)
        return Page(page(inspection, title_of(inspection, self.name, self.step)))

    @property
    def start(self) -> int:
        """The token that a text begins after."""
        return first_token_of(self.source.start, self.source.config, self.tokenizer)

    @property
    def parameters(self) -> int:
        return sum(array.size for array in self.source.weights.values())

    def __repr__(self) -> str:
        from gptlab.loaded.facts import facts_of

        facts = ", ".join(f"{name} {value}" for name, value in facts_of(self).items())
        return f"<run {self.name}: {facts}>"

    def _repr_html_(self) -> str:
        from gptlab.loaded.facts import run_html

        return run_html(self)


def title_of(inspection: Inspection | Intervention, place: object, step: int | None) -> str:
    """One line: the text, and which weights have seen it."""
    text = inspection.text.replace("\n", r"\n")
    return f'"{text}" in {place}' + ("" if step is None else f", step {step:,}")


def points(curve: Curve) -> list[tuple[int, float]]:
    return list(zip(curve.steps.tolist(), curve.values.tolist(), strict=True))


def load(
    run: str | os.PathLike[str] = "latest",
    *,
    engine: str | None = None,
    uri: str | None = None,
    tokenizer_path: str | None = None,
    registry: Registry | None = None,
) -> Loaded:
    """A finished run, with its model, its numbers and its losses.

    run: latest (the newest below ./runs), the folder of a run or of a checkpoint, an MLflow run id, the name of a run
    or of an experiment (the newest of that name), a sweep (its best run), runs:/ID, models:/NAME@ALIAS, a file of
    weights, or hf:FOLDER of transformers. engine: where the model computes, by default
    where it was trained; "scalar" makes every number a Value. uri: the MLflow store of a run that is not below
    ./runs. tokenizer_path: the corpus of a file of weights that carries no vocabulary. registry: where names are
    looked up; by default what `load_plugins` finds.

    Raises UserError if there is no such run, it has no weights yet, or it is damaged.
    """
    registry = registry or load_plugins().registry
    if engine is not None:
        registry.get("engine", engine)
    reference = os.fspath(run)
    tracking = {"name": "mlflow", "uri": uri}
    with find_run(reference, tracking, tokenizer_path) as found:
        rows = [] if found.folder is None else with_smoothed(RunFolder(found.folder).rows())
    if found.folder is not None and not found.folder.is_dir():  # it was fetched from a store
        found = replace(found, name=reference, folder=None)
    settings = None if engine is None else {"name": engine}
    return Loaded(found, registry, settings, lambda: rows or fetched_metrics(reference, uri))


def fetched_metrics(reference: str, uri: str | None) -> Metrics:
    """What the store has of a run that it knows by its id; [] for all else. Raises UserError as the store does."""
    run_id = reference.removeprefix("runs:/").strip("/")
    if (
        os.path.exists(Path(os.path.expanduser(reference)))
        or not ID.fullmatch(run_id)
        or may_change(reference)
    ):
        return []
    from gptlab.tracking.download import metrics_in_store

    return metrics_in_store(run_id, uri)
