"""The page of an ablation: what stands in it, and that a stranger's names are but texts. Seen: test_report_seen."""

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from gptlab.ablation.report.page import page
from tests.ablation_results import EXAMPLES, HOSTILE, Fitted, arm, compared, plain, with_sizes
from tests.page_reader import Reader

MEGABYTE = 1_000_000


@cache
def page_of(name: str) -> str:
    return page(EXAMPLES[name]())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "with_failures", "tuned", "with_sizes", "hostile"])
def test_a_page_is_whole_asks_nobody_and_runs_nothing(name: str) -> None:
    html = page_of(name)
    read = Reader(html)
    assert len(html) < MEGABYTE
    assert not {tag for tag, _ in read.elements} & {"script", "img", "iframe", "object", "base", "form", "b"}
    for tag, attributes in read.elements:
        assert not [key for key in attributes if key.startswith("on") or key in ("src", "srcset")]
        for key in ("href", "xlink:href"):
            address = attributes.get(key)
            # A run's folder from here, a place in the picture itself, or the icon that there is none of.
            assert (
                address is None
                or (tag == "link" and address == "data:,")
                or address[:2] in ("./", f"#{address[1:2]}")
            )
    assert not re.findall(r"url\((?!#)|@import", html)
    html.encode("utf-8")


def test_hostile_names_stay_texts() -> None:
    read = Reader(page_of("hostile"))
    assert (
        "</td><script>alert('{{style}}')</script>|`$x$ \\x1b[31m\\u202e\\ud800 [a](javascript:alert(1)) @all next"
        in read.text
    )
    assert "\x1b" not in read.text and "\u202e" not in read.text
    assert HOSTILE not in read.text
    addresses = [attributes["href"] or "" for attributes in read.of("a")]
    assert all(re.fullmatch(r"\./[\w%./-]*/", address) for address in addresses)
    assert 'javascript:alert(1)/"><b>' in unquote(addresses[0])


def test_the_verdicts_are_in_order_and_so_are_the_rows() -> None:
    text = Reader(page_of("plain")).text
    sentences = [
        "activation=squaredrelu is better than the baseline by 0.021 nats (95% interval 0.012 to 0.030, p = 0.0005",
        "activation=gelu cannot be told from the baseline yet",
        "norm=layernorm is equivalent to the baseline within 0.01 nats",
        "norm=none is worse than the baseline by 0.061 nats",
    ]
    places = [text.index(sentence) for sentence in sentences]
    assert places == sorted(places)
    rows = re.search(
        "seeds activation=squaredrelu -0.021 -0.030 to -0.012 0.0005 better 12 activation=gelu -0.011", text
    )
    assert rows
    for fact in (
        "0.0250",
        "0.0302",
        "80% power",
        "4,480",
        "430M",
        "1.43× in steps, 1.40× in FLOPs, 1.21× in seconds",
    ):
        assert fact in text


def test_each_picture_is_told_in_words() -> None:
    for name, count in (("plain", 2), ("tuned", 3), ("with_sizes", 3)):
        labels = [attributes.get("aria-label") or "" for attributes in Reader(page_of(name)).of("svg")]
        assert len(labels) == count and all(len(label) > 60 for label in labels)
    labels = [attributes["aria-label"] or "" for attributes in Reader(page_of("tuned")).of("svg")]
    assert "+experiment=muon better, -0.043" in labels[0]
    assert "optimizer=adam best at train.learningRate=0.001" in labels[1]


def test_ids_in_the_pictures_are_their_own() -> None:
    html = page_of("tuned")
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', html))
    assert used and used <= set(ids)


@pytest.mark.slow
def test_every_run_is_linked_from_the_ablation_s_folder() -> None:
    made = plain()
    read = Reader(page_of("plain"))
    addresses = {attributes["href"] for attributes in read.of("a")}
    runs = [run for _, setting in made.settings for run in setting.runs]
    assert addresses == {
        f"./{run.folder.removeprefix('multirun/ablate/').replace('=', '%3D')}/" for run in runs
    }
    assert all(run.runId in read.text for run in runs)
    elsewhere = replace(made, folder="multirun/other")
    assert "./../ablate/baseline/0/" in {attributes["href"] for attributes in Reader(page(elsewhere)).of("a")}


@pytest.mark.slow
def test_runs_that_are_here_lead_to_their_inspect_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = plain()
    assert "inspect.html" not in page(made), "nothing is promised of runs that are not here"
    first, second = made.baseline.runs[:2]
    for run in (first, second):
        (tmp_path / run.folder / "checkpoints").mkdir(parents=True)
    (tmp_path / first.folder / "samples.txt").write_text("step 50: the dog eats\n")
    told = Reader(page(made)).text
    assert (
        "inspect run=multirun/ablate steps=true 'text=the dog eats' output=multirun/ablate/inspect.html"
        in told
    )
    for run, step in ((first, 50), (first, 1000), (second, 50)):
        kept = tmp_path / run.folder / f"inspect/step-{step:06d}/inspect.html"
        kept.parent.mkdir(parents=True)
        kept.touch()
    read = Reader(page(made))
    addresses = [attributes["href"] or "" for attributes in read.of("a")]
    found = [address for address in addresses if address.endswith("/inspect.html")]
    assert found == [
        "./inspect.html",
        "./baseline/0/inspect/step-001000/inspect.html",
        "./baseline/1/inspect/step-000050/inspect.html",
    ]
    assert "inspect run=multirun/ablate steps=true output=multirun/ablate/inspect.html" in read.text


def test_a_stranger_can_repeat_it() -> None:
    made = plain()
    text = Reader(page_of("plain")).text
    arms = "'arms=[model/norm=layernorm, model/activation=squaredrelu]'"
    command = f"python -m gptlab ablate +experiment=tiny {arms} seeds=12"
    for told in (
        command,
        " jax 0.10.2 ",
        "digest of the data " + "9f" * 32,
        "after 6, 9, 12 seeds",
        "0 to 11",
    ):
        assert told in text
    assert "arXiv 2306.10882" in text and "Holm 1979" in text
    assert all(override in text for arm in made.arms for override in arm.overrides)


@pytest.mark.slow
def test_failures_edges_and_what_cannot_be_extrapolated_are_told() -> None:
    failed = Reader(page_of("with_failures")).text
    assert "failed: norm=none, seeds 0, 1, 2, 3, 4 and 5: the loss is no longer finite at step 400" in failed
    assert "failed: the loss is no longer finite at step 400" in failed
    assert "Try tune='train.learningRate=log(0.0002,0.03,7)'" in Reader(page_of("tuned")).text
    laws = {"norm=layernorm": Fitted(refusal="the sign changes: nothing is extrapolated.")}
    sized = Reader(page(with_sizes(), laws)).text
    assert "norm=layernorm: the sign changes: nothing is extrapolated." in sized and "nEmbd=128" in sized


@pytest.mark.slow
def test_the_speedup_of_an_arm_that_is_not_decided_is_no_more_than_its_difference():
    for verdict, luck in (("better", False), ("equivalent", False), ("undecided", True)):
        told = page(replace(plain(), arms=[arm("rope", compared(-0.004, verdict=verdict))]))
        assert "Effective speedup" in told and ("may be chance" in told) == luck, verdict
