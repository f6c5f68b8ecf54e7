"""What the jobs of a sweep share is composed once, and each job's config is what Hydra itself would compose."""

import copy
import pickle
from collections.abc import Iterator
from itertools import product

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gptlab.command import composed_once
from gptlab.command.composed_once import ComposedCells, ComposedOnce
from gptlab.command.composing import compose, prepared
from gptlab.command.hydra_insides import hydra_for
from gptlab.command.line import read_command_line
from gptlab.gallery.entry import override

JOBS = [
    ["+experiment=tiny", "seed=1"],
    ["+experiment=tiny", "seed=2"],
    ["+experiment=book", "seed=2"],
    ["+experiment=tiny", "seed=1", "train.learningRate=0.02", "train.numSteps=10"],
    ["+experiment=tiny", "train.learningRate=1", "model.finalNorm=true", "optimizer.beta2=0.999", "seed=3"],
    ["model/norm=layernorm", "model.norm.scale=true", "model.nEmbd=8"],
    ["optimizer=sgd", "train.learningRate=1e-1", "description='a, b'"],
    ["train.numSteps=10", "train={numSteps: 20}", "train.logEvery=5"],
    ["train.numSteps=10", 'train.numSteps="30"'],
    ["hydra.job.num=7", "seed=1"],
    ["model.norm=3"],
    [],
]
CELLS = [job for job in JOBS if "hydra.job.num=7" not in job]


@pytest.fixture
def loader() -> Iterator[tuple[ComposedOnce, DictConfig]]:
    line = read_command_line(["-m", "+experiment=tiny"], "train", single=True)
    prepared(line)
    with hydra_for(line.flags) as hydra:
        master = hydra.compose_config("train", ["hydra.mode=MULTIRUN", "hydra.sweep.dir=x"], RunMode.MULTIRUN)
        assert isinstance(hydra.config_loader, ComposedOnce)
        yield hydra.config_loader, master


def whole(config: DictConfig) -> object:
    return OmegaConf.to_container(config, resolve=False)


@pytest.mark.slow
def test_a_job_s_config_is_hydra_s_own(loader: tuple[ComposedOnce, DictConfig]) -> None:
    once, master = loader
    for overrides in (*JOBS, *JOBS):
        expected = ConfigLoaderImpl.load_sweep_config(once, master, list(overrides))
        found = once.load_sweep_config(master, list(overrides))
        assert whole(found) == whole(expected), overrides
        assert OmegaConf.is_struct(found) and not OmegaConf.is_readonly(found.hydra)
        OmegaConf.set_readonly(found.hydra, True)  # as a job does: no other one has it
        found.seed = 99


@pytest.mark.slow
def test_a_job_without_hydra_s_part_is_the_rest_of_hydra_s_own(
    loader: tuple[ComposedOnce, DictConfig],
) -> None:
    once, master = loader
    found = 0
    for overrides in (*JOBS, *JOBS):
        if (task := once.plain_job(master, overrides)) is None:
            continue
        found += 1
        expected = whole(ConfigLoaderImpl.load_sweep_config(once, master, list(overrides)))
        assert isinstance(expected, dict)
        assert whole(task) == {key: value for key, value in expected.items() if key != "hydra"}, overrides
        assert OmegaConf.is_struct(task)
        task.seed = 99  # no other job has it
    assert found == 2 * (len(JOBS) - 2), "all but the two that are Hydra's to do"


@pytest.mark.slow
def test_a_cell_s_config_is_hydra_s_own() -> None:
    prepared(read_command_line(["-m", "+experiment=tiny"], "train", single=True))
    configs = ComposedCells()
    for overrides in (*CELLS, *CELLS):
        found = configs.config([*overrides])
        assert whole(found) == whole(compose("train", [*overrides])), overrides
        assert OmegaConf.is_struct(found)
        found.seed = 99  # no other one has it
    for wrong in (["model.nEmbd=1.5"], ["seed=true"], ["nothing=1"]):
        with pytest.raises(ConfigCompositionException) as expected:
            compose("train", wrong)
        with pytest.raises(ConfigCompositionException) as error:
            configs.config(wrong)
        assert str(error.value) == str(expected.value)


@pytest.mark.slow
def test_cells_that_plain_values_set_apart_are_composed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(read_command_line(["-m", "+experiment=tiny"], "train", single=True))
    asked: list[list[str]] = []

    def composing(name: str, overrides: list[str]) -> DictConfig:
        asked.append(overrides)
        return compose(name, overrides)

    monkeypatch.setattr(composed_once, "compose", composing)
    configs = ComposedCells()
    for rate in (0.1, 0.2, 1e-05):
        config = configs.config(["+experiment=tiny", override("train.learningRate", rate), "seed=3"])
        assert (config.train.learningRate, config.seed) == (rate, 3)
    assert asked == [["+experiment=tiny"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    "override",
    [
        "hydra.sweep.subdir=${hydra.job.override_dirname}",
        "description=${hydra:job.name}",
        "+hydra.job.env_set={A: b}",
        "hydra.output_subdir=.hydra",
        "hydra.verbose=true",
        "hydra/job_logging=default",
    ],
)
def test_what_has_something_of_hydra_s_in_it_is_hydra_s_to_make(override: str) -> None:
    line = read_command_line(["-m", "+experiment=tiny"], "train", single=True)
    prepared(line)
    with hydra_for(line.flags) as hydra:
        master = hydra.compose_config("train", ["hydra.mode=MULTIRUN"], RunMode.MULTIRUN)
        once = hydra.config_loader
        assert isinstance(once, ComposedOnce)
        assert once.plain_job(master, ["seed=1"]) is not None
        assert once.plain_job(master, ["seed=1", override]) is None


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [["model.nEmbd=1.5"], ["seed=true"], ["nothing=1"]], ids=str)
def test_what_is_wrong_is_wrong_as_hydra_says_it(
    loader: tuple[ComposedOnce, DictConfig], overrides: list[str]
) -> None:
    once, master = loader
    with pytest.raises(Exception) as expected:
        ConfigLoaderImpl.load_sweep_config(once, master, list(overrides))
    with pytest.raises(type(expected.value)) as found:
        once.load_sweep_config(master, list(overrides))
    assert str(found.value) == str(expected.value)


@pytest.mark.slow
def test_each_value_of_the_jobs_of_a_sweep_is_tried_once(
    loader: tuple[ComposedOnce, DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    once, master = loader
    tried: list[list[str]] = []
    plain_job = once.plain_job

    def trying(config: DictConfig, job: list[str]) -> DictConfig | None:
        tried.append([*job])
        return plain_job(config, job)

    monkeypatch.setattr(once, "plain_job", trying)
    rates, seeds = (f"train.learningRate={rate}" for rate in (0.1, 0.2, 0.3)), ("seed=1", "seed=2")
    once.check_jobs(master, [["+experiment=tiny", rate, seed] for rate, seed in product(rates, seeds)])
    assert len(tried) == 4 and {text for job in tried for text in job[1:]} == {
        *("seed=1", "seed=2"),
        *("train.learningRate=0.1", "train.learningRate=0.2", "train.learningRate=0.3"),
    }
    last = ["+experiment=tiny", "train.learningRate=0.3", "seed=true"]
    with pytest.raises(ConfigCompositionException, match="seed=true"):
        once.check_jobs(master, [["+experiment=tiny", "seed=1"], last])


@pytest.mark.slow
def test_it_goes_to_the_processes_of_a_launcher(loader: tuple[ComposedOnce, DictConfig]) -> None:
    once, master = loader
    once.load_sweep_config(master, ["seed=1"])
    there = pickle.loads(pickle.dumps(once))
    assert whole(there.load_sweep_config(master, ["seed=2"])) == whole(
        copy.copy(once).load_sweep_config(master, ["seed=2"])
    )
