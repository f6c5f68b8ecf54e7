"""The runs of an ablation as they are to be: an arm at one size and one setting of what is tuned, whatever its seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from gptlab.ablation.arms import key_of, merged
from gptlab.ablation.comparable import BY, Judged, check_comparable
from gptlab.ablation.question import Question
from gptlab.ablation.result import Costs
from gptlab.command.composing import explained
from gptlab.config.typed import Chosen, Config, as_dict
from gptlab.errors import UserError
from gptlab.launch.experiment import Experiment
from gptlab.launch.provenance import tags_of
from gptlab.plugins.loading import Plugins
from gptlab.runs.equality import FREE, equality_key
from gptlab.sweeps.plan import config_of_job

if TYPE_CHECKING:
    from gptlab.model.summary import Summary

SEED = "seed"
WIDTH = "model.nEmbd"
# Evaluations of a run: a curve must show when a loss is reached, and each costs hundreds of steps at batch 1.
EVALUATIONS = 10
QUIET = ("progress=none", "samples.n=0")  # of so many runs nobody reads along
# How far the parameters of matched arms are apart, as a share: to be told, to be refused.
CLOSE, FAR = 0.02, 0.25


@dataclass(frozen=True)
class Cell:
    """name: of its arm, empty for the baseline. size, setting: the overrides that make them. overrides: all of a
    job's but the seed. unit: what its losses are multiplied by, to be in nats a token of the baseline's."""

    name: str
    size: tuple[str, ...]
    setting: tuple[str, ...]
    overrides: tuple[str, ...]
    config: Config
    parts: Parts
    unit: float = 1.0

    def job(self, seed: int) -> list[str]:
        return [*self.overrides, f"{SEED}={seed}"]

    @property
    def costs(self) -> Costs:
        steps = self.config.train.numSteps
        return Costs(self.parts.summary.parameters, steps, self.parts.summary.step * steps, 0.0)

    def key(self, seed: int) -> str:
        """What an equal run that there is already is known by; empty if none can be known."""
        config = {**as_dict(self.config), SEED: seed}
        return equality_key(config, self.parts.data, self.parts.brought, self.parts.versions)


class Parts:
    """What is known of a run before it: of its data, its code, its costs."""

    def __init__(self, config: Config, plugins: Plugins):
        experiment = Experiment.of(config, plugins.registry)
        self.experiment = experiment
        data = experiment.data
        if not len(data.held_out):
            raise UserError(
                "an ablation compares losses on held-out documents, and there are none: data.valFraction must be above "
                f"0, got {config.data.get('valFraction')}. Try data.valFraction=0.1"
            )
        self.data = data.facts.digest
        self.brought = experiment.brought_by_plugins()
        self.versions = tags_of(config)

    @cached_property
    def judged(self) -> Judged:
        experiment = self.experiment
        blockSize = experiment.config.model.blockSize
        return Judged.of(experiment.data, experiment.tokenizer_state, blockSize, experiment.counted)

    @property
    def parameters(self) -> int:
        """As `summary` has it, which takes a trace of the model besides."""
        return sum(matrix.count for matrix in self.experiment.definition.matrices())

    @cached_property
    def summary(self) -> Summary:
        return self.experiment.summary()


class Cells:
    """Composes each cell once, and refuses those whose losses say nothing beside the baseline's."""

    def __init__(self, question: Question, plugins: Plugins):
        self.question = question
        self.notes: list[str] = []
        self._plugins = plugins
        self._composed: dict[tuple[str, ...], Cell] = {}
        from gptlab.command.composed_once import ComposedCells  # which loads Hydra

        self._configs = ComposedCells()

    def baseline(self, size: tuple[str, ...] = (), setting: tuple[str, ...] = ()) -> Cell:
        """Raises UserError for a setting whose losses cannot be compared with those of others."""
        cell = self._cell("", (), size, setting)
        if not setting:
            return cell
        try:
            return in_one_unit(cell, self.baseline(size))
        except UserError as error:
            raise UserError(f"{' '.join(setting)} must leave a loss that can be compared: {error}") from None

    def of(
        self, name: str, overrides: Sequence[str], size: tuple[str, ...] = (), setting: tuple[str, ...] = ()
    ) -> Cell:
        """The cell of an arm. Raises UserError, which names the arm, for one that cannot be trained, or compared."""
        try:
            baseline = self.baseline(size)
            cell = in_one_unit(self._cell(name, overrides, size, setting), baseline)
            if differing(cell.config, self.baseline(size, setting).config) == set():
                raise UserError(
                    f"it changes nothing: the baseline has {' '.join(overrides)} already"
                    + (", or is tuned over it. Leave it out" if setting else ". Leave it out")
                )
            return replace(self._matched(cell, overrides, baseline), unit=cell.unit)
        except UserError as error:
            raise UserError(f"the arm '{name}' must be one that can be compared: {error}") from None

    def _cell(
        self, name: str, overrides: Sequence[str], size: tuple[str, ...], setting: tuple[str, ...]
    ) -> Cell:
        words = merged(self.question.base, size, overrides, setting)
        typed = set(map(key_of, words))
        words += [text for text in QUIET if key_of(text) not in typed]
        key = tuple(words)
        if key not in self._composed:
            config = self._config(words)
            if "train.evalEvery" not in map(key_of, words):
                every = max(1, config.train.numSteps // EVALUATIONS)
                words.append(f"train.evalEvery={every}")
                config = replace(config, train=replace(config.train, evalEvery=every))
            if overrides or setting:
                config = self._split_alike(words, config, self.baseline(size).config)
            self._composed[key] = Cell(
                name, size, setting, tuple(words), config, Parts(config, self._plugins)
            )
        return replace(self._composed[key], name=name, size=size, setting=setting)

    def _split_alike(self, words: list[str], config: Config, baseline: Config) -> Config:
        """With what makes other tokens hold out the texts that the baseline's do; added to `words` as well."""
        if config.tokenizer == baseline.tokenizer or config.data.get(BY, "") is not None:
            return config
        words.append(f"data.{BY}={baseline.tokenizer.name}")
        return replace(config, data=Chosen({**config.data, BY: baseline.tokenizer.name}))

    def _config(self, words: list[str]) -> Config:
        whole = [*words, f"{SEED}={self.question.seeds[0]}"]
        with explained(self._plugins, whole):
            config = self._configs.config(whole)
        return config_of_job(config, self._plugins, whole)

    def _matched(self, cell: Cell, overrides: Sequence[str], baseline: Cell) -> Cell:
        """The cell with as many parameters, or operations, as the baseline has."""
        match = self.question.match
        if match == "params":
            return self._with_width(cell, overrides, baseline)
        if match == "flops":
            return self.with_steps(cell, baseline.costs.flops / (cell.costs.flops / cell.costs.steps))
        return cell

    def with_steps(self, cell: Cell, steps: float) -> Cell:
        """The cell with another number of steps, of at least one."""
        count = max(1, round(steps))
        if count == cell.config.train.numSteps:
            return cell
        every = max(1, count // EVALUATIONS)
        config = replace(cell.config, train=replace(cell.config.train, numSteps=count, evalEvery=every))
        words = merged(cell.overrides, [f"train.numSteps={count}", f"train.evalEvery={every}"])
        return replace(cell, overrides=tuple(words), config=config)

    def _with_width(self, cell: Cell, overrides: Sequence[str], baseline: Cell) -> Cell:
        """The width, a multiple of what the heads need, whose parameters are nearest to the baseline's."""
        wanted = baseline.costs.parameters
        if cell.costs.parameters == wanted:
            return cell
        heads = cell.config.model.nHead
        step = heads if cell.config.model.nEmbd // heads % 2 else 2 * heads  # rotations turn pairs of numbers
        low, high = 1, max(2, 4 * cell.config.model.nEmbd // step)

        def made(count: int) -> Cell:
            return self._cell(cell.name, [*overrides, f"{WIDTH}={count * step}"], cell.size, cell.setting)

        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if made(middle).costs.parameters > wanted else (middle, high)
        best = min(cell, made(low), made(high), key=lambda one: abs(one.costs.parameters - wanted))
        apart = best.costs.parameters / wanted - 1
        at = f"{WIDTH}={best.config.model.nEmbd}, which has {abs(apart):.0%} {'more' if apart > 0 else 'fewer'}"
        if abs(apart) > FAR:
            raise UserError(
                f"no width comes close to the baseline's {wanted:,} parameters: the nearest is {at}. Use "
                "match=flops, or a larger baseline"
            )
        if abs(apart) > CLOSE:
            note = f"{cell.name}: the width whose parameters are nearest to the baseline's is {at}"
            self.notes += [] if note in self.notes else [note]
        return best


def in_one_unit(cell: Cell, baseline: Cell) -> Cell:
    """The cell with the unit of its losses. Raises UserError where they say nothing beside the baseline's."""
    mine, its = cell.parts.judged, baseline.parts.judged
    check_comparable(mine, its)
    return replace(cell, unit=mine.predictions / its.predictions)


def differing(one: Config, other: Config) -> set[str]:
    """The keys in which two configs differ, of those that matter to what is trained."""
    mine, its = as_dict(one), as_dict(other)
    return {key for key in mine if key not in (*FREE, SEED) and mine[key] != its[key]}
