"""A plugin that somebody else could have written does not run: one line says so, and how to let it in."""

import grp
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from gptlab.cli import main
from gptlab.plugins import ownership
from gptlab.plugins.loading import load_plugins
from tests.plugin_texts import HALF

SOMEBODY = 54321
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a plugin, a package of two files, and a place for what is compiled of them."""
    monkeypatch.delenv("GPTLAB_PLUGINS", raising=False)
    here = tmp_path / "above/here"
    for name in ("half.py", "package/__init__.py", "package/inner/deep.py", "_shared.py"):
        (here / "plugins" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "plugins" / name).write_text("")
    (here / "plugins/half.py").write_text(HALF)
    (here / "plugins/__pycache__").mkdir()
    (here / "plugins/package/__init__.py").write_text(HALF.replace("halfmul", "othermul"))
    monkeypatch.chdir(here)
    load_plugins(quiet=True)
    return here


def opened(place: Path) -> None:
    """Let everybody write to it."""
    place.chmod(place.stat().st_mode | 0o002)


def given(place: Path) -> None:
    os.chown(place, SOMEBODY, -1)


def by_a_link(place: Path) -> None:
    """Have it be a link to what everybody can write to."""
    there = next(parent for parent in place.parents if parent.name == "above").with_name(place.name)
    place.rename(there)
    place.symlink_to(there)
    opened(there)


WHERE = {
    "plugins/half.py": {"half"},
    "plugins/package": {"package"},
    "plugins/package/__init__.py": {"package"},
    "plugins/package/inner": {"package"},
    "plugins/package/inner/deep.py": {"package"},
    "plugins/_shared.py": {"half", "package"},
    "plugins/__pycache__": {"half", "package"},
    "plugins": {"half", "package"},
    ".": {"half", "package"},
    "..": {"half", "package"},
}


@pytest.mark.parametrize("act", [opened, pytest.param(given, marks=as_root), by_a_link])
@pytest.mark.parametrize("place", WHERE)
def test_it_is_left_out_with_one_line_that_says_what_to_type(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    act: Callable[[Path], None],
    place: str,
) -> None:
    if act is by_a_link and place in (".", ".."):
        pytest.skip("the current folder has the name that the system gives it")
    capsys.readouterr()
    act(folder / place)
    plugins = load_plugins()
    left_out = {plugin.source.name for plugin in plugins.found if plugin.source.refusal}
    assert left_out == WHERE[place]
    assert not any(entry.owner in left_out for entry in plugins.registry)
    (line,) = [said for said in capsys.readouterr().err.splitlines() if "left out" in said]
    assert str((folder / place).resolve()) in line
    assert (
        "Type chmod o-w /" in line or "Type sudo chown" in line or "Move them to a folder of your own" in line
    )
    assert line.endswith(f", or, to accept them as they are, export GPTLAB_PLUGINS={folder / 'plugins'}") or (
        act is by_a_link and place == "plugins"
    )
    # What it says to type.
    monkeypatch.setenv("GPTLAB_PLUGINS", line.rpartition("=")[2])
    assert {"halfmul", "othermul"} <= set(load_plugins().registry.names("op"))
    assert "left out" not in capsys.readouterr().err


@pytest.mark.slow
def test_the_reason_comes_back_where_a_name_of_it_is_asked_for(folder: Path, capsys) -> None:
    opened(folder / "plugins/half.py")
    for command in (["tracking=none", "ops.mul=halfmul"], ["check", "halfmul"]):
        assert main(command) == 2
        assert (
            "The plugin 'half' may have it, but is left out: everybody can write" in capsys.readouterr().err
        )
    assert main(["plugins"]) == 0
    out = capsys.readouterr().out
    assert "half (plugins/half.py)\n  left out: everybody can write to" in out


def test_another_plugin_cannot_run_it_either(folder: Path, capsys) -> None:
    (folder / "plugins/half.py").write_text("raise SystemExit('was run')")
    opened(folder / "plugins/half.py")
    for name, text in {"absolute": "import gptlab.found.half", "beside": "from .half import halfmul"}.items():
        (folder / f"plugins/a{name}.py").write_text(text)
    failures = {plugin.source.name: plugin.failure for plugin in load_plugins().found}
    assert failures["aabsolute"].startswith(
        stopped := "ModuleNotFoundError: import of gptlab.found.half halted"
    )
    assert failures["abeside"].startswith(stopped)
    (folder / "plugins/half.py").write_text(HALF)
    (folder / "plugins/half.py").chmod(0o600)
    assert "halfmul" in load_plugins().registry.names("op")


def test_completion_and_help_leave_its_names_out_and_say_nothing(folder: Path, capsys) -> None:
    opened(folder / "plugins")
    assert main(["--help"]) == 0
    said = capsys.readouterr()
    assert "halfmul" not in said.out and said.err == ""


def test_its_experiments_are_there_and_its_configs_are_not(folder: Path, capsys) -> None:
    for name, text in {
        "experiments/mine.yaml": "train: {numSteps: 7}",
        "conf/optimizer/adam.yaml": "beta1: 0.1",
    }.items():
        (folder / "plugins" / name).parent.mkdir(parents=True)
        (folder / "plugins" / name).write_text(text)
    opened(folder / "plugins")
    assert main(["+experiment=mine", "--cfg", "job"]) == 0
    out = capsys.readouterr().out
    assert "numSteps: 7" in out and "beta1: 0.85" in out


def test_a_folder_named_by_a_part_of_its_path_is_not_let_in(folder: Path, monkeypatch) -> None:
    opened(folder / "plugins")
    monkeypatch.setenv("GPTLAB_PLUGINS", "plugins")
    assert "halfmul" not in load_plugins().registry.names("op")


def test_where_only_ones_own_can_be_removed_ones_own_is_safe(folder: Path) -> None:
    (folder.parent).chmod(0o1777)
    assert "halfmul" in load_plugins().registry.names("op")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_has_none(folder: Path) -> None:
    for mode in (0o000, 0o400, 0o100):
        (folder / "plugins").chmod(mode)
        assert "halfmul" not in load_plugins().registry.names("op")
    (folder / "plugins").chmod(0o700)


def test_a_folder_that_is_a_link_to_itself_has_none(folder: Path) -> None:
    (folder / "plugins").rename(folder / "others")
    (folder / "plugins").symlink_to("plugins")
    assert "halfmul" not in load_plugins().registry.names("op")


def test_processes_that_began_elsewhere_are_told_whose_plugins_run(folder: Path, monkeypatch) -> None:
    monkeypatch.chdir("/")
    monkeypatch.setenv("GPTLAB_PLUGINS_OF", str(folder))
    assert "halfmul" in load_plugins().registry.names("op")
    opened(folder / "plugins")
    assert "halfmul" not in load_plugins().registry.names("op")


def test_links_without_end_are_no_plugins(folder: Path) -> None:
    (folder / "plugins/a.py").symlink_to("b.py")
    (folder / "plugins/b.py").symlink_to("a.py")
    assert "halfmul" in load_plugins().registry.names("op")
    assert list(ownership.way_to(folder / "plugins/a.py"))


@as_root
def test_a_link_that_somebody_else_made_leads_nowhere(folder: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert not ownership.stranger_at(link / "plugins", ownership.owners())
    os.lchown(link, SOMEBODY, -1)
    assert f"{link} belongs to user {SOMEBODY}" in ownership.stranger_at(link / "plugins", ownership.owners())


PRIVATE = {
    "of one's own name": (1001, "ada", [], True),
    "of one's own name, with oneself in it": (1001, "ada", ["ada"], True),
    "of one's own name, with another": (1001, "ada", ["ada", "bob"], False),
    "of all": (100, "users", [], False),
    "of a project": (2000, "lab", ["ada"], False),
    "root's": (0, "root", [], True),
    "wheel": (0, "wheel", ["root", "bob"], False),
    "without a name, of one's own number": (1001, None, [], True),
    "without a name": (1002, None, [], False),
}


@pytest.mark.parametrize(("group", "name", "members", "private"), PRIVATE.values(), ids=PRIVATE)
def test_a_group_that_only_the_user_is_in_may_write(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    group: int,
    name: str | None,
    members: list[str],
    private: bool,
) -> None:
    def found(number: int) -> SimpleNamespace:
        if name is None:
            raise KeyError(number)
        return SimpleNamespace(gr_name=name, gr_mem=members)

    names = {0: "root", 1001: "ada"}
    monkeypatch.setattr(grp, "getgrgid", found)
    monkeypatch.setattr(pwd, "getpwuid", lambda number: SimpleNamespace(pw_name=names[number]))
    assert ownership.is_private(group, frozenset({0, 1001}), tmp_path) == private


def test_a_group_of_others_may_not_write(folder: Path, monkeypatch, capsys) -> None:
    (folder / "plugins").chmod(0o775)
    assert "halfmul" in load_plugins().registry.names("op") or os.geteuid()
    monkeypatch.setattr(ownership, "is_private", lambda *of: False)
    assert "halfmul" not in load_plugins().registry.names("op")
    assert "others can write to" in (said := capsys.readouterr().err)
    assert f"Type chmod g-w {folder / 'plugins'}" in said


def test_who_has_gptlab_itself_needs_no_plugin(folder: Path, monkeypatch, capsys) -> None:
    """A checkout that is shared, or mounted into a container, belongs to somebody, with its plugins/."""
    package = folder / "package"
    package.mkdir()
    monkeypatch.setattr("gptlab.plugins.folders.package_folder", lambda: package.resolve())
    (folder / "pyproject.toml").touch()
    if os.geteuid() == 0:
        for place in (package, folder / "plugins", folder / "plugins/half.py"):
            given(place)
    assert "halfmul" in load_plugins().registry.names("op")
    opened(folder / "plugins")
    assert "halfmul" not in load_plugins().registry.names("op")
    opened(package)
    assert "halfmul" in load_plugins().registry.names("op")
