"""What a config may ask of Hydra: none of these, from a file or typed, has code run that it names."""

from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.command.permitted import resolver_in

CODE = "{_target_: pathlib.Path.touch, self: pwned}"
LOGGING = '{version: 1, formatters: {a: {"()": pathlib.Path, args: x}}}'

FILES = {
    "a callback": "hydra: {callbacks: {a: {_target_: mako.template.Template, text: x}}}",
    "a formatter that is called": f"hydra: {{job_logging: {LOGGING}}}",
    "Hydra's own log": f"hydra: {{hydra_logging: {LOGGING}}}",
    "a handler's class": "hydra: {job_logging: {handlers: {a: {class: subprocess.Popen, args: [touch, pwned]}}}}",
    "the launcher": f"hydra: {{launcher: {CODE}}}",
    "in a launcher": f"hydra: {{launcher: {{n_jobs: {CODE}}}}}",
    "in a list": f"hydra: {{launcher: {{n_jobs: [{CODE}]}}}}",
    "lines of a job's shell": "hydra: {launcher: {setup: [touch pwned]}}",
    "a line end in what SLURM reads": 'hydra: {launcher: {partition: "cpu\\ntouch pwned"}}',
    "an expression of joblib's": "hydra: {launcher: {pre_dispatch: \"__import__('os').system('touch pwned')\"}}",
    "the sweeper": f"hydra: {{sweeper: {CODE}}}",
    "a space of Optuna's": "hydra: {sweeper: {custom_search_space: os.system}}",
    "a value that a sweep goes through": "hydra: {sweeper: {params: {hydra.launcher._target_: os.system}}}",
    "one that it adds": 'hydra: {sweeper: {params: {"+hydra.callbacks.a._target_": os.system}}}',
    "the environment of jobs": "hydra: {job: {env_set: {GPTLAB_PLUGINS: evil}}}",
    "where configs are looked for": "hydra: {searchpath: [pkg://evil]}",
    "a merged part": f"hydra:\n  sweeper: {{params: &a {{callbacks: {{a: {CODE}}}}}}}\n  <<: *a",
    "a merged file": f"x: &a {{hydra: {{callbacks: {{a: {CODE}}}}}}}\n<<: *a",
    "merged from a list": f"<<: [{{seed: 1}}, {{hydra: {{callbacks: {{a: {CODE}}}}}}}]",
    "a name with dots": f"hydra.callbacks: {{a: {CODE}}}",
    "another log": "defaults: [override /hydra/job_logging: default]",
    "help": "defaults: [override /hydra/help: default]",
    "the environment": 'description: "${oc.env:HOME}"',
    "the environment, in a part of a name": 'description: "${oc.${x}:HOME}"',
    "the environment, within another": 'description: "${model.${oc.env:HOME}}"',
    "what is read anew": "description: \"${oc.decode:'[1]'}\"",
    "the environment in a folder": 'hydra: {run: {dir: "${oc.env:HOME}/x"}}',
    "a tag of YAML's": "description: !!python/object/apply:os.system [touch pwned]",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    return tmp_path


@pytest.mark.parametrize("content", FILES.values(), ids=list(FILES))
@pytest.mark.parametrize("sweep", [False, True], ids=["run", "sweep"])
def test_an_experiments_file_names_no_code(
    folder: Path, content: str, sweep: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "experiments/gift.yaml").write_text(content)
    assert main([*(["-m"] if sweep else []), "+experiment=gift", "tracking=none"]) == 2
    told = capsys.readouterr().err
    assert "experiments/gift.yaml" in told and told.count("\n") == 1
    assert [path.name for path in folder.iterdir()] == ["experiments"]


TYPED = [
    "+hydra.callbacks.a._target_=os.system",
    "+hydra.callbacks.a={_target_: os.system}",
    "hydra.launcher._target_=os.system",
    "hydra.job_logging.formatters={a: {(): os.system}}",
    "+hydra.job_logging.formatters.a.class=os.system",
    "++hydra.job_logging.handlers.a.class=subprocess.Popen",
    "++hydra.job_logging.handlers.a.stream='ext://os.environ'",
    "description=${oc.env:HOME}",
    "description='${oc.env:HOME}'",
    "listeners=${oc.select:a}",
    "hydra.run.dir='${oc.env:HOME}/x'",
    "model/position=${oc.decode:'[1]'}",
]


@pytest.mark.parametrize("typed", TYPED)
@pytest.mark.parametrize("sweep", [False, True], ids=["run", "sweep"])
def test_what_is_typed_names_no_code(
    folder: Path, typed: str, sweep: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*(["-m"] if sweep else []), "+experiment=tiny", "tracking=none", typed]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (folder / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("flags", [[], ["-m"], ["--cfg", "hydra"]], ids=["run", "sweep", "shown"])
def test_a_root_config_names_no_code(
    folder: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "configs").mkdir()
    (folder / "configs/mine.yaml").write_text(
        f"defaults: [train, _self_]\nhydra: {{callbacks: {{a: {CODE}}}}}\n"
    )
    assert main([*flags, "--config-dir", "configs", "--config-name", "mine", "tracking=none"]) == 2
    assert "hydra.callbacks.a._target_" in capsys.readouterr().err
    assert not (folder / "pwned").exists() and not (folder / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("key", ["callbacks", "job_logging", "hydra_logging", "launcher", "sweeper"])
@pytest.mark.parametrize("flags", [[], ["-m"]], ids=["run", "sweep"])
def test_code_is_not_referred_to(
    folder: Path, key: str, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "configs").mkdir()
    (folder / "configs/mine.yaml").write_text(
        f"defaults: [train, override optimizer: optax, _self_]\noptimizer: {{keywords: {{a: {CODE}}}}}\n"
    )
    referring = f"hydra.{key}='${{optimizer.keywords}}'"
    assert main([*flags, "--config-dir", "configs", "--config-name", "mine", "tracking=none", referring]) == 2
    told = capsys.readouterr().err
    assert f"hydra.{key}" in told
    assert not (folder / "pwned").exists() and not (folder / "runs").exists()


@pytest.mark.slow
def test_what_a_file_may_set_is_set(folder: Path) -> None:
    (folder / "experiments/mine.yaml").write_text(
        "defaults: [tiny, override /hydra/sweeper: basic, override /engine: scalar]\n"
        'description: "${model.nEmbd} numbers"\n'
        "model: {nEmbd: 2, nHead: 1, blockSize: 4}\ndata: {valFraction: 0}\n"
        "train: {numSteps: 1}\nsamples: {n: 0}\n"
        'hydra: {run: {dir: "runs/mine-${now:%H}"}, sweep: {dir: runs/all, subdir: "${hydra.job.num}-of-mine"},\n'
        "  launcher: {}, sweeper: {params: {seed: '1,2'}}}\n"
    )
    assert main(["-m", "+experiment=mine", "tracking=none", "progress=none"]) == 0
    assert (folder / "runs/all/1-of-mine/run.json").is_file()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("${model.nEmbd}", ""),
        ("a ${now:%H} b ${hydra:job.num}", ""),
        ("${a[0].b}", ""),
        ("$ {x} ${", ""),
        ("${ oc.env : X}", "${ oc.env :"),
        ("${a}${oc.env:X}", "${oc.env:"),
        ("${a.${b}}", "${a.${b}"),
    ],
)
def test_resolvers_are_found(text: str, found: str) -> None:
    assert resolver_in(text) == found


@pytest.mark.slow
def test_a_text_that_stands_for_millions_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = "listeners:\n" + "".join(
        f"- &b{i} [{', '.join(['x' if i == 0 else f'*b{i - 1}'] * 10)}]\n" for i in range(9)
    )
    (folder / "experiments/gift.yaml").write_text(content)
    assert main(["+experiment=gift", "tracking=none"]) == 2
    assert "more than 100000 values" in capsys.readouterr().err


@pytest.mark.parametrize("depth", [100, 500, 5000])
def test_a_file_that_is_nested_deep_is_refused(
    folder: Path, depth: int, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "experiments/gift.yaml").write_text(f"model: {'{norm: ' * depth}1{'}' * depth}")
    assert main(["+experiment=gift", "tracking=none"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
