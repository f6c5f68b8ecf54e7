"""What an ablation says in the terminal."""

import re
from dataclasses import replace

import pytest

from gptlab.ablation.report.bars import BLANK, bar, heading, scale_of
from gptlab.ablation.report.terminal import terminal
from gptlab.ablation.report.words import noise_line, number_text, p_text, sentence, signed, verdict_words
from gptlab.ablation.result import Noise
from tests.ablation_results import (
    EXAMPLES,
    ablation,
    arm,
    compared,
    hostile,
    one_arm,
    plain,
    tuned,
    undecided,
    with_failures,
    with_sizes,
)

WIDTHS = (60, 80, 130, 200)
BAR = "│├┤┼─●◂▸"


def rows_of(text: str) -> list[str]:
    """The lines of the first table, without its heading."""
    lines = text.split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith("───"))
    return lines[start + 1 : lines.index("", start)]


def test_the_sentence_of_a_better_arm() -> None:
    found = ablation([arm("squaredrelu", compared(-0.021))])
    assert sentence(found, found.arms[0]) == (
        "squaredrelu is better than the baseline by 0.021 nats (95% interval 0.012 to 0.030, p = 0.0005, 12 seeds)."
    )


@pytest.mark.parametrize(
    ("comparison", "said"),
    [
        (
            compared(0.3, 0.1, 1e-5, "worse"),
            "is worse than the baseline by 0.300 nats (95% interval 0.200 to 0.400, p < 0.0001, 12 seeds).",
        ),
        (
            compared(0.003, 0.006, 0.4, "equivalent"),
            "is equivalent to the baseline within 0.01 nats "
            "(difference +0.003, 95% interval -0.003 to 0.009, p = 0.4, 12 seeds).",
        ),
        (
            compared(-0.002, 0.03, None, "undecided", 5, needs=20),
            "cannot be told from the baseline yet (difference -0.002, 95% interval -0.032 to 0.028, 5 seeds). "
            "5 seeds cannot give a p below 0.05; 6 can. About 20 more seeds would decide.",
        ),
        (
            compared(-0.002, 0.03, 0.7, "undecided", 9, needs=1),
            "cannot be told from the baseline yet (difference -0.002, 95% interval -0.032 to 0.028, p = 0.7, 9 seeds). "
            "About 1 more seed would decide.",
        ),
        (
            compared(None, verdict="failed", lost=12),
            "failed: all its 12 runs broke down (the loss is no longer finite at step 400).",
        ),
        (
            compared(0.01, p=None, verdict="failed", lost=2),
            "failed: 2 of its 12 runs broke down (the loss is no longer finite at step 400).",
        ),
        (
            compared(-0.02, lost=1),
            "is better than the baseline by 0.020 nats (95% interval 0.011 to 0.029, p = 0.0005, 12 seeds). "
            "1 run of it broke down.",
        ),
    ],
)
def test_the_sentence_of_each_verdict(comparison, said: str) -> None:
    found = ablation([arm("this", comparison)])
    assert sentence(found, found.arms[0]) == f"this {said}"


def test_a_tuned_arm_is_judged_at_its_own_best_and_at_the_baseline_s_setting() -> None:
    found = tuned()
    said = sentence(found, found.arms[0])
    assert said.startswith("Each at its own best, optimizer=adam cannot be told from the baseline yet")
    assert "At the baseline's setting it is worse than the baseline by 0.034 nats" in said


def test_numbers_as_a_person_reads_them() -> None:
    assert [signed(value) for value in (-0.0212, 0.0031, -0.0001, 0.0, None)] == [
        "-0.021",
        "+0.003",
        "0.000",
        "0.000",
        "-",
    ]
    assert number_text(1.7e21) == "1.7e+21"
    assert [p_text(p) for p in (None, 0.00049, 0.0143, 0.3, 1.0, 9e-5)] == [
        "-",
        "0.00049",
        "0.014",
        "0.3",
        "1",
        "<0.0001",
    ]


def test_digits_are_enough_for_the_narrowest_interval() -> None:
    found = ablation([arm("one", compared(-0.0021, 0.0004)), arm("two", compared(-0.3, 0.1))])
    assert "by 0.0021 nats (95% interval 0.0017 to 0.0025" in sentence(found, found.arms[0])


def test_the_noise_is_one_line_with_its_three_numbers() -> None:
    line = noise_line(Noise(deviation=0.025, seeds=12, detectable=0.0302, needed=87))
    assert "\n" not in line
    assert {"0.0250", "0.0302", "80%", "12 seeds", "87 seeds", "0.01 nats"} <= set(
        re.findall(r"\d+ seeds|0\.01 nats|[\d.]+%?", line)
    )
    assert "control variate" not in line
    assert "0.0041, 0.0023 with" in terminal(plain())
    assert noise_line(None) == "" and "noise" not in terminal(one_arm())


def test_best_first_and_the_baseline_last() -> None:
    rows = rows_of(terminal(with_failures(), 130))
    assert [row.split()[0] for row in rows] == [
        *(
            "activation=squaredrelu",
            "mlp=swiglu",
            "norm=layernorm",
            "position=none",
            "activation=gelu",
            "norm=none",
        ),
        "baseline",
    ]


def test_a_row_has_the_numbers_of_its_arm() -> None:
    row = next(row for row in rows_of(terminal(plain(), 250)) if row.startswith("activation=gelu"))
    for cell in (
        "-0.011",
        "-0.027 to 0.005",
        "0.16",
        "undecided: about 14 more seeds",
        "12",
        "4,480",
        "430M",
        "1.75",
        "1.43×",
        "1.21×",
    ):
        assert f" {cell}" in row
    assert (
        row.index("-0.011")
        < row.index("0.16")
        < row.index("undecided")
        < row.index("4,480")
        < row.index("1.43×")
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_a_table_fits_its_screen_and_lacks_nothing(width: int) -> None:
    text = terminal(plain(), width)
    drawn = [line for line in text.split("\n") if set(line) & set(BAR)]
    assert drawn and max(map(len, drawn)) <= width
    for one in plain().arms:
        assert one.name in text and verdict_words(one.comparison, 0.01) in text
    assert all(number in text for number in ("1.43×", "430M", "4,480", "2.1624"))


def test_bars_stand_where_their_numbers_are() -> None:
    comparisons = [arm.comparison for arm in plain().arms]
    scale = scale_of(comparisons)
    zero = scale.column(0.0)
    for one in comparisons:
        drawn = bar(one, scale)
        assert len(drawn) == scale.width and drawn[zero] in "│├┤┼●"
        ends = [i for i, letter in enumerate(drawn) if letter in "├┤"]
        # Each within half a column of the number on a ruler from end to end.
        for at, value in zip(
            (ends[0], drawn.index("●"), ends[-1]), (one.low, one.difference, one.high), strict=True
        ):
            there = scale.low + at / (scale.width - 1) * (scale.high - scale.low)
            half = (scale.high - scale.low) / (scale.width - 1) / 2
            assert abs(there - value) <= half * 1.001
        assert all(letter in "─┼●" for letter in drawn[ends[0] + 1 : ends[-1]])
    assert heading(scale, 3).replace(BLANK, "") == f"{scale.low:+.3f}0{scale.high:+.3f}"


def test_an_interval_far_away_does_not_flatten_the_others() -> None:
    comparisons = [arm.comparison for arm in with_failures().arms]
    scale = scale_of(comparisons)
    far = next(one for one in comparisons if one.difference == 1.7)
    near = next(one for one in comparisons if one.difference == -0.021)
    assert bar(far, scale)[-1] == "▸" and "●" not in bar(far, scale)
    assert bar(near, scale).count("─") + bar(near, scale).count("●") >= 1
    assert set(bar(compared(None), scale)) == {BLANK, "│"}


def test_a_run_that_failed_is_told_with_its_reason() -> None:
    text = terminal(with_failures())
    assert "failed: activation=gelu, seeds 4 and 5: the loss is no longer finite at step 400" in text
    assert "failed: norm=none, seeds 0, 1, 2, 3, 4 and 5: the loss is no longer finite at step 400" in text
    assert re.search(r"^activation=gelu .* 4 of 6", text, re.MULTILINE)


def test_tuned_arms_have_both_columns_and_the_edge_is_a_warning() -> None:
    text = terminal(tuned())
    row = next(line for line in text.split("\n") if line.startswith("optimizer=adam") and "+0.034" in line)
    assert row.index("+0.034 (0.024 to 0.044)") < row.index("+0.008 (-0.004 to 0.020)")
    assert "train.learningRate=0.001 (at the edge)" in row and row.endswith("0.0312")
    assert "Try tune='train.learningRate=log(0.0002,0.03,7)'" in text


def test_each_size_has_its_difference() -> None:
    rows = [line.split() for line in terminal(with_sizes()).split("\n") if "nEmbd=" in line]
    found = [
        (row[0], row[1], next(cell for cell in row if re.fullmatch(r"[+-]0\.\d{3}", cell))) for row in rows
    ]
    assert found[:2] == [("position=rope", "nEmbd=16", "-0.020"), ("position=rope", "nEmbd=32", "-0.030")]
    assert found[4:] == [
        *(("norm=layernorm", "nEmbd=16", "+0.030"), ("norm=layernorm", "nEmbd=32", "+0.010")),
        *(("norm=layernorm", "nEmbd=64", "-0.010"), ("norm=layernorm", "nEmbd=128", "-0.030")),
    ]


def test_one_that_was_stopped_says_so() -> None:
    assert "killed: what follows covers only the runs that there are." in terminal(
        replace(plain(), status="KILLED")
    )
    assert "only the runs that there are" not in terminal(plain())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", EXAMPLES)
def test_no_name_moves_the_cursor_or_breaks_a_line(name: str, width: int) -> None:
    text = terminal(EXAMPLES[name](), width)
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e\ud800\u2800]", text)
    assert "nan" not in text.split("\n\n")[1]


def test_two_arms_of_one_name_keep_their_own_rows() -> None:
    text = terminal(hostile(), 60)
    assert text.count("better") >= 1 and "0 of 12 seeds" in text
    assert terminal(undecided()).count("3 seeds cannot give a p below 0.05") == 2
