"""An experiment: what a config describes, each part made once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from gptlab import strict_json
from gptlab.assembly.architecture import (
    Architecture,
    engine_and_optimizer,
    init_chosen,
    reparametrization_chosen,
)
from gptlab.assembly.data import data_of
from gptlab.assembly.layers import chosen_parts
from gptlab.assembly.metrics import Asked, check_answers, check_labels, measures, metrics_of
from gptlab.assembly.optimizing import transformed
from gptlab.assembly.run_data import Data
from gptlab.autograd.ops import BUILTIN_OPS
from gptlab.config.typed import ALL, Config
from gptlab.config.values import check_values
from gptlab.data.batches import Course, Epochs
from gptlab.data.endless import EndlessCourse
from gptlab.data.fixed_vocabulary import FixedVocabulary
from gptlab.data.problems import Problems
from gptlab.engines.engine import MeasuresEach, Session, State, trained
from gptlab.engines.measured import Measures
from gptlab.engines.process_memory import give_back
from gptlab.engines.spreading import Spreads
from gptlab.errors import UserError
from gptlab.finetuning.start import Start, beginning_of
from gptlab.launch.fitting import check_fits, is_large
from gptlab.model.adapted import Adapted, frozen_names
from gptlab.model.counting import counts_something, digest_of_counts, with_objective
from gptlab.model.gpt import GPT
from gptlab.model.memory import check_batch_fits
from gptlab.model.objective import for_tokens
from gptlab.model.reparametrization import NoReparametrization
from gptlab.model.reparametrized import check_rates, reparametrized
from gptlab.model.trains_others import TrainsOthers
from gptlab.optim.plateau import LookingBack
from gptlab.plugins.registry import GROUPS, OWN, Registry, build
from gptlab.runs import resuming
from gptlab.runs.checkpoint.folder import Checkpoint
from gptlab.training.generation import Sampling
from gptlab.training.loop import Observer, Plan, Rows, Training, log_every
from gptlab.training.smoothing import SmoothedLoss
from gptlab.training.step_norms import norms_by_layer

if TYPE_CHECKING:
    from gptlab.model.summary import Summary


NORMS, ACCUMULATE = "step_metrics", "accumulate"  # what some engines' sessions take besides
TRIED = 200  # documents, of which some must have what the objective counts


class Experiment:
    """The parts of a run: those that cost nothing when it is made, and checked; data, model and session when asked for.

    config: the run's, as it was made by initFrom. start: what that has found, None without. model: the definition
    and the ops, not yet of the data's vocabulary. frozen: names of the weights that are not trained.
    Raises UserError for parts that do not exist, or do not fit each other; `data`, and what needs it, for the data.
    """

    def __init__(self, config: Config, registry: Registry, start: Start | None):
        self.config = config
        self.registry = registry
        self.start = start
        given = None if start is None else start.model
        self.model = given or Architecture.of(config.model, config.ops, registry)
        self._applied = self.model.applied  # ops, by names of their own
        self._adapter = build(registry, "adapter", config.model.adapter)
        reparametrization = reparametrization_chosen(config.model)
        self._reparametrization = build(registry, "reparametrization", reparametrization)
        self._objective = build(registry, "objective", config.objective)
        self._dataset = build(registry, "dataset", config.data)
        answers = isinstance(self._dataset, Problems) and not self._dataset.countAll
        own = self._dataset.metrics if answers else ()
        named = own if config.metrics is None else config.metrics
        self.metrics = metrics_of(named, registry, labelled=isinstance(self._dataset, Problems))
        self.frozen = frozen_names(config.train.freeze, self._adapted(self.model.definition))
        declared = trained(self._adapted(self.model.definition).declared_weights(), self.frozen)
        components = [
            *chosen_parts(config.model),
            ("adapter", config.model.adapter),
            ("reparametrization", reparametrization),
            ("objective", config.objective),
        ]
        self.engine, optimizer = engine_and_optimizer(config.engine, config.optimizer, components, registry)
        shapes = {name: weight.shape for name, weight in declared.items()}
        rates = self.model.definition.init.rates(self.model.definition.shapes)
        self.optimizer = transformed(optimizer, config.optimizer, config.train, shapes, rates)
        self._check_engine()
        self.plan = self._plan()
        self.sampling = self._sampling()
        fixed = None if start is None else start.vocabulary
        self._tokenizer = fixed or build(registry, "tokenizer", config.tokenizer)

    @classmethod
    def of(
        cls,
        config: Config,
        registry: Registry,
        requested: Mapping[str, Any] | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Experiment:
        """The experiment that a config describes; with initFrom, of the model that this names.

        requested: what of the model is no default, for initFrom to refuse if it must. checkpoint: of the run that is
        gone on with.
        """
        check_values(config)
        start = beginning_of(config, registry, requested, checkpoint)
        return cls(config if start is None else start.config, registry, start)

    def _adapted(self, definition: GPT) -> GPT | TrainsOthers:
        """Raises UserError for an adapter and a reparametrization at once, and for one of these that does not fit."""
        definition = replace(definition, objective=self._objective)
        if not isinstance(self._reparametrization, NoReparametrization):
            if self._adapter.weights(definition.shapes):
                raise UserError(
                    "an adapter leaves the model's own matrices as they are, and a reparametrization trains what they "
                    f"are made of: got model/adapter={self.config.model.adapter.name} and model/reparametrization="
                    f"{self.config.model.reparametrization.name}. Leave one of them out."
                )
            made, applied = reparametrized(definition, self._reparametrization, self.model.ops)
            check_rates(made, definition.init)
            self._applied = (*self.model.applied, *(op for op in applied if op not in BUILTIN_OPS))
            return made
        return Adapted(definition, self._adapter) if self._adapter.weights(definition.shapes) else definition

    def _check_engine(self) -> None:
        """Raises UserError for an engine that lacks what the config asks of it."""
        taken = signature(self.engine.session).parameters.values()
        takes = {p.name for p in taken}
        if any(p.kind is p.VAR_KEYWORD for p in taken):
            takes |= {NORMS, ACCUMULATE}
        train, engine = self.config.train, self.config.engine.name
        if train.norms and NORMS not in takes:
            raise UserError(
                f"train.norms needs an engine that measures norms: engine={engine} does not. Leave train.norms out."
            )
        if train.accumulate > 1 and ACCUMULATE not in takes:
            raise UserError(
                f"train.accumulate needs an engine that computes a step in parts: engine={engine} does not. "
                "Leave train.accumulate out, or try a smaller train.batchSize."
            )
        if isinstance(self.engine, Spreads):
            known = None if train.batchSize == ALL else int(train.batchSize)
            self.engine.check_spread(known, self.model.definition.sizes.nHead)

    def _plan(self) -> Plan:
        """Raises UserError for a schedule that looks back where it has nothing to see."""
        train = self.config.train
        schedule = build(self.registry, "schedule", self.config.schedule)
        if isinstance(schedule, LookingBack) and not train.evalEvery:
            raise UserError(
                f"schedule={self.config.schedule.name} looks at evaluations: got train.evalEvery=0, which makes none "
                "before the end. Try train.evalEvery=250."
            )
        return Plan(
            train.numSteps,
            train.learningRate,
            schedule,
            train.logEvery or log_every(train.numSteps),
            train.evalEvery,
            self.config.checkpoint.every or 0,
            self.config.inspect.every or 0,
        )

    def _sampling(self) -> Sampling | None:
        if not self.config.samples.n:
            return None
        try:
            sampler = build(self.registry, "sampler", self.config.sampler)
            return Sampling(**vars(self.config.samples), seed=self.config.seed, sampler=sampler)
        except UserError as error:
            raise UserError(f"in samples: {error}") from None

    @cached_property
    def data(self) -> Data:
        return data_of(self.config, self._dataset, self._tokenizer, self.registry)

    @cached_property
    def definition(self) -> GPT | TrainsOthers:
        """What is trained: the model of the data's vocabulary, an adapter or a reparametrization put on."""
        tokenizer = self.data.tokenizer
        model = self.model.with_vocabulary(tokenizer.vocabSize).definition
        return with_objective(
            self._adapted(model), for_tokens(self._objective, tokenizer), self.model.ops, self.data.marked
        )

    @cached_property
    def session(self) -> Session:
        also: dict[str, Any] = {"frozen": self.frozen} if self.frozen else {}  # some engines cannot freeze
        if self.config.train.norms:
            also[NORMS] = norms_by_layer
        if self.config.train.accumulate > 1:
            if self.config.train.accumulate > self.batchSize:
                raise UserError(
                    f"train.accumulate must be at most train.batchSize, {self.batchSize}: got "
                    f"{self.config.train.accumulate}. Try train.accumulate={self.batchSize}."
                )
            also[ACCUMULATE] = self.config.train.accumulate
        if isinstance(self.engine, Spreads):
            self.engine.check_spread(self.batchSize, self.definition.sizes.nHead)
        session: Session = self.engine.session(self.definition, self.optimizer, self.model.ops, **also)
        return session

    @cached_property
    def batchSize(self) -> int:
        """Documents of a step. Raises UserError where all of them are asked for, and there is no end of them."""
        if self.config.train.batchSize != ALL:
            return int(self.config.train.batchSize)
        if self.data.endless is not None:
            raise UserError(
                f"train.batchSize={ALL} takes all documents: data={self.config.data.name} has no end. Type "
                "data.numExamples=1000, or train.batchSize=64."
            )
        return len(self.data.train)

    @property
    def epochs(self) -> Course:
        """The batches of every step."""
        if self.data.endless is not None:
            return EndlessCourse(self.data.endless, self.batchSize)
        return Epochs(self.data.train, self.batchSize, self.config.seed, self.config.data["shuffle"])

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for a person."""
        if self.start is not None:
            return (*self.start.notes, *self.data.notes)
        if not isinstance(self.definition, Adapted):
            return self.data.notes
        adapter = f"model/adapter={self.config.model.adapter.name}"
        return (f"{adapter} adapts random weights: initFrom=RUN starts from trained ones", *self.data.notes)

    def weights(self) -> dict[str, np.ndarray]:
        """The weights before step 1. Raises UserError for those of another model."""
        if self.start is not None and self.start.source is not None:
            return self.start.weights(self.definition, self.config.seed)
        return self.definition.initial_weights(self.config.seed)

    def state(self, checkpoint: Checkpoint | None) -> State:
        """The state to train from.

        Raises UserError for weights or a checkpoint of another model, optimizer or data, and for steps that do not fit
        into memory.
        """
        check_batch_fits(self.definition.sizes, self.batchSize, self.data.train.width - 1)
        check_fits(self)
        try:
            return self._state(checkpoint)
        finally:
            if is_large(self):
                give_back()

    def _state(self, checkpoint: Checkpoint | None) -> State:
        weights = self.weights()
        optimizer = self.optimizer.init(trained(weights, self.frozen))
        if checkpoint is None:
            return self.session.init(weights, optimizer)
        resuming.check_same_data(checkpoint, self.data)
        return self.session.init(*resuming.continued(checkpoint, weights, optimizer), checkpoint.step)

    def training(
        self,
        state: State,
        observers: Sequence[Observer],
        smoothed: SmoothedLoss,
        stops: Callable[[], bool] = lambda: False,
        evaluations: Rows | None = None,
    ) -> Training:
        """The training from a state on; what was held out from the weights that it starts from is evaluated, too."""
        data = self.data
        some = slice(TRIED)
        if not counts_something(
            self.definition, self.model.ops, data.held_out.told[some], data.held_out.lengths[some]
        ):
            raise UserError(
                f"objective={self.config.objective.name} must count some tokens: none counts in "
                f"{min(TRIED, len(data.held_out))} held-out documents. Check its fields: python -m gptlab --cfg "
                "job shows them."
            )
        if self.metrics and not isinstance(self.session, MeasuresEach):
            raise UserError(
                f"metrics needs an engine that measures them, xla or scalar: got engine={self.config.engine.name}."
            )
        check_answers(self.metrics, lambda: self._counts_only_some, self.config.data.name)
        held_out = None if self.start is None else data.original.held_out
        others = {} if held_out is None else {"val/originalLoss": held_out}
        return Training(
            self.session,
            state,
            self.plan,
            self.epochs,
            data.held_out,
            observers,
            others=others,
            sets=data.held_out_sets,
            metrics=self._measures(self.metrics),
            on_trained=self._measures([one for one in self.metrics if one.train]),
            smoothed=smoothed,
            stops=stops,
            evaluations=[] if evaluations is None else evaluations,
        )

    def _measures(self, some: Sequence[Asked]) -> Measures:
        tokenizer = self.data.tokenizer
        check_labels(some, self.data.held_out.labels)
        return measures(some, tokenizer, lambda: self.data.train.counts(tokenizer.vocabSize))

    @property
    def _counts_only_some(self) -> bool:
        """Whether some of the held-out tokens do not count; the data alone may say so at once."""
        some = self.data.held_out
        by_data = some.counted is not None and int(some.counted.sum()) < int(some.lengths.sum())
        return by_data or self.counted != ""

    @cached_property
    def counted(self) -> str:
        """Which of the held-out tokens count, as a digest; "" where each does."""
        some = self.data.held_out
        return digest_of_counts(self.definition, self.model.ops, some.told, some.lengths)

    def summary(self) -> Summary:
        """Each part of the model with its shapes and costs, and what a step takes; nothing is trained."""
        from gptlab.model.summary import summarize

        return summarize(
            self.definition,
            self.model.ops,
            self.optimizer,
            frozen=self.frozen,
            batchSize=self.batchSize,
            dtype=self.engine.dtype,
        )

    def brought_by_plugins(self) -> dict[str, str]:
        """Of the names that the config uses, `"op halfmul": "half"`: those that a plugin brought, and which.

        Besides, `"plugin half": DIGEST` of each of those plugins. Listeners are none: they change nothing of a model.
        """
        config = self.config
        selected = [("op", name) for name in (*config.ops.values(), *self._applied)]
        parts = [*chosen_parts(config.model), ("adapter", config.model.adapter)]
        parts += [("init", init_chosen(config.model))]
        parts += [("reparametrization", reparametrization_chosen(config.model))]
        selected += [(kind, chosen.name) for kind, chosen in parts]
        selected += [
            (kind, getattr(config, group).name) for kind, group in GROUPS.items() if "/" not in group
        ]
        owners = {f"{kind} {name}": self.registry.owner(kind, name) for kind, name in selected}
        brought = {name: owner for name, owner in owners.items() if owner != OWN}
        digests = {f"plugin {owner}": self.registry.digest(owner) for owner in brought.values()}
        return brought | {name: digest for name, digest in digests.items() if digest}

    @cached_property
    def tokenizer_state(self) -> dict[str, Any]:
        """The vocabulary, as it is kept. Raises UserError for one that cannot be had back from that."""
        tokenizer, name = self.data.tokenizer, self.config.tokenizer.name
        state = {"name": name, **tokenizer.state()}
        must = f"a tokenizer must read back what its state() gives, as JSON: {name} does not"
        try:
            kept = strict_json.loads(strict_json.dumps(state))
            # As whoever reads the run will: with the fields that the component has by itself.
            component = (
                self._tokenizer if isinstance(self._tokenizer, FixedVocabulary) else type(self._tokenizer)()
            )
            again = component.restore(kept)
            agrees = again.vocabSize == tokenizer.vocabSize and again.state() == tokenizer.state()
        except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
            raise UserError(f"{must} ({type(error).__name__}: {error}).") from None
        if not agrees:
            raise UserError(f"{must}: it comes back as a different one.")
        return state
