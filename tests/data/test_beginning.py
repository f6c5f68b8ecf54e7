"""What stands before a text: BOS for documents, what running text has seen there; and prompts as they are typed."""

import random
from pathlib import Path

import numpy as np
import pytest

import gptlab
from gptlab.autograd.ops import OpTable
from gptlab.cli import main
from gptlab.cli.reading import with_line_ends
from gptlab.data.beginning import begun, first_token, first_token_of, line_end
from gptlab.data.documents import stream_in_memory
from gptlab.data.tokenizers import Vocabulary
from gptlab.engines.scalar import ScalarEngine
from gptlab.errors import UserError
from gptlab.inspection.inspection import ids_of, inspect
from gptlab.launch.reports import told_apart
from gptlab.optim.optimizers import SGD
from gptlab.plugins.loading import load_plugins
from gptlab.training.generation import Sampling, generate
from tests.checkpoints import rewritten, sign
from tests.models import SMALL, make_gpt

LETTERS = Vocabulary(["\n", " ", *"abcdefgh"], "character")
WORDS = Vocabulary(["a", "cat", "dog", "sees", "the"], "word")
NEWLINE, SPACE = 0, 1
BPE = load_plugins().registry.get("tokenizer", "bpe")(vocabSize=260).build(["a cat\nsees a dog\n"])
CHANCE = random.Random(0)
SAID = ["the cat", "a dog", "sees", "the end", "and", "a"]
TEXT = "".join(" ".join(CHANCE.choices(SAID, k=CHANCE.randint(1, 4))) + "\n" for _ in range(300))
FEW = ["tracking=none", "progress=none"]


@pytest.mark.parametrize(
    ("tokenizer", "text", "window", "start"),
    [
        (LETTERS, "a cab\na bag\n", True, NEWLINE),
        (LETTERS, "ab cd ef gh a", True, SPACE),  # one line: the most frequent
        (LETTERS, "a cab\na bag\n", False, LETTERS.bos),
        (WORDS, "a cat sees the dog the cat\nthe dog", True, WORDS.encode("the")[0]),
        (WORDS, "a cat\nthe dog", False, WORDS.bos),
        (BPE, "a cat\nsees a dog\n", True, BPE.encode("\n")[0]),
        (BPE, "a cat\nsees a dog\n", False, BPE.bos),
    ],
    ids=["lines", "one line", "documents", "words", "documents of words", "bpe", "documents of bpe"],
)
def test_running_text_begins_after_what_it_has_seen(tokenizer, text, window, start):
    texts = [text] if window else text.splitlines()
    stream = stream_in_memory(texts, tokenizer)
    assert first_token(stream, tokenizer, window) == start
    assert not window or start in stream.tokens[:-1]


def test_weights_that_do_not_say_are_told_by_their_data_and_a_bare_file_by_its_vocabulary():
    window, lines = {"data": {"name": "text", "unit": "window"}}, {"data": {"name": "text", "unit": "line"}}
    assert first_token_of(4, lines, LETTERS) == 4
    assert first_token_of(None, window, LETTERS) == NEWLINE
    assert first_token_of(None, lines, LETTERS) == first_token_of(99, lines, LETTERS) == LETTERS.bos
    assert first_token_of(None, None, LETTERS) == NEWLINE
    assert first_token_of(None, None, Vocabulary("ab", "character")) == 2
    assert first_token_of(None, window, WORDS) == first_token_of(None, None, WORDS) == WORDS.bos
    assert line_end(WORDS) is None


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("", NEWLINE, ([NEWLINE], "")),
        ("a ", NEWLINE, ([NEWLINE], "a ")),
        (" a", NEWLINE, ([NEWLINE], " a")),
        ("\n", NEWLINE, ([], "\n")),
        ("\n\nA", NEWLINE, ([], "\n\na")),
        ("a\n", LETTERS.bos, ([LETTERS.bos], "a\n")),
        (" a ", LETTERS.bos, ([LETTERS.bos], "a ")),  # a document begins with its first letter
    ],
    ids=repr,
)
def test_every_character_of_a_prompt_counts(text, start, expected):
    before, ids = begun(LETTERS, text, start)
    assert (before, "".join(LETTERS.pieces[i] for i in ids)) == expected


def test_words_are_trimmed_as_their_documents_are():
    for start in (WORDS.bos, WORDS.encode("the")[0]):
        assert begun(WORDS, " The  \n", WORDS.bos) == ([WORDS.bos], WORDS.encode("the"))
        assert begun(WORDS, "\n", start) == ([start], [])


def test_what_is_not_in_the_vocabulary_is_named_at_the_ends_of_a_prompt_too():
    with pytest.raises(UserError, match=r"the character ' ' is not in the vocabulary of 2 characters"):
        begun(Vocabulary("ab", "character"), "a ", 2)


def session_of():
    gpt = make_gpt(initStd=0.5)
    session = ScalarEngine().session(gpt, SGD(), OpTable())
    return gpt, session, session.init(gpt.initial_weights(0), {})


@pytest.mark.parametrize("prompt", ["", "a ", "\n", "\na", " "], ids=repr)
def test_a_text_goes_on_from_the_line_end_or_the_prompt(prompt):
    _, session, state = session_of()
    (text,) = generate(session, state, LETTERS, SMALL["blockSize"], Sampling(1, 0.0, prompt=prompt), NEWLINE)
    assert text.startswith(prompt)
    before = prompt if prompt[:1] == "\n" else "\n" + prompt
    row = [LETTERS.pieces.index(c) for c in before]
    while len(row) <= SMALL["blockSize"] and row[-1] != LETTERS.bos:
        row.append(int(np.argmax(session.logits(state, np.array(row, np.int32))[-1])))
    assert text == LETTERS.decode(row if prompt[:1] == "\n" else row[1:])


def test_running_text_is_inspected_from_a_line_end_and_has_no_end():
    nl, a, b = (LETTERS.pieces.index(c) for c in "\nab")
    assert ids_of(LETTERS, "ab", 9, nl) == [nl, a, b]
    assert ids_of(LETTERS, "\nab", 9, nl) == [nl, a, b]
    assert ids_of(LETTERS, "a ", 9, nl) == [nl, a, SPACE]
    assert ids_of(LETTERS, "\n", 9, nl) == [nl, nl]
    assert (
        ids_of(LETTERS, "ab", 9) == ids_of(LETTERS, "ab", 9, LETTERS.bos) == [LETTERS.bos, a, b, LETTERS.bos]
    )
    assert len(ids_of(LETTERS, "ab" * 4, 8, nl)) == 9
    with pytest.raises(UserError, match="at most blockSize=8 tokens: it has 9"):
        ids_of(LETTERS, "ab" * 4 + "a", 8, nl)
    with pytest.raises(UserError, match="text must not be empty"):
        ids_of(LETTERS, "", 8, nl)


@pytest.mark.slow
def test_an_inspection_of_running_text_counts_no_bos():
    gpt, _, _ = session_of()
    found = inspect(gpt, OpTable(), gpt.initial_weights(0), LETTERS, "ab a", NEWLINE)
    assert found.tokens == ["\n", "a", "b", " "] and found.targets == ["a", "b", " ", "a"]
    assert len(found.losses) == 4


@pytest.mark.parametrize(
    ("typed", "meant"),
    [(r"\n", "\n"), (r"a\tb", "a\tb"), (r"\\n", r"\n"), (r"\alpha", r"\alpha"), ("a ", "a "), ("\n", "\n")],
)
def test_line_ends_that_a_shell_passes_as_two_characters(typed, meant):
    assert with_line_ends(typed) == meant


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with a run on running text, read letter by letter, and its file of weights."""
    place = tmp_path_factory.mktemp("running")
    (place / "text.txt").write_text(TEXT)
    sizes = [
        "model.nEmbd=8",
        "model.nHead=2",
        "model.blockSize=12",
        "train.numSteps=100",
        "train.batchSize=8",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        data = ["data=text", "data.path=text.txt", "data.unit=window", "tokenizer=char", "samples.n=2"]
        assert main([*data, *sizes, *FEW, "train.learningRate=0.02", "hydra.run.dir=runs/window"]) == 0
        assert main(["export", "runs/window", "--format=safetensors", "output=w.safetensors"]) == 0
        assert main(["export", "runs/window", "--format=json", "output=w.json"]) == 0
    return place


@pytest.fixture
def place(trained, monkeypatch) -> Path:
    monkeypatch.chdir(trained)
    return trained


@pytest.mark.slow
def test_wherever_weights_come_from_they_begin_alike(place, capfd):
    capfd.readouterr()
    assert main(["import", "w.safetensors"]) == 0
    imported = capfd.readouterr().out.strip()
    (newest,) = Path("runs/window/checkpoints").iterdir()
    run = gptlab.load("runs/window")
    expected = {prompt: run.generate(prompt, 3, seed=5) for prompt in ("", "a ", "\n")}
    losses = run.inspect("a dog ").losses
    assert len(losses) == len("a dog ") and losses[0] < np.log(len(run.tokenizer.pieces))
    whole = (newest / "state.json").read_bytes()
    for reference in ("w.safetensors", imported, str(newest), "older"):
        if reference == "older":
            rewritten(newest, start=None, dataset={"split": None}, config={"data": {"splitSeed": None}})
            reference = "runs/window"
        again = gptlab.load(reference)
        assert {prompt: again.generate(prompt, 3, seed=5) for prompt in expected} == expected, reference
        assert again.inspect("a dog ").losses.tolist() == losses.tolist()
    (newest / "state.json").write_bytes(whole)
    sign(newest)

    for typed, prompt in (("prompt=", ""), ("prompt=a ", "a "), (r"prompt=\n", "\n"), ("prompt=\n", "\n")):
        capfd.readouterr()
        assert main(["generate", "run=runs/window", typed, "n=3", "seed=5", "tracking=none"]) == 0
        assert capfd.readouterr().out.splitlines() == told_apart(expected[prompt])
    assert main(["inspect", "run=runs/window", "text=a dog ", "tracking=none"]) == 0
    said = capfd.readouterr().out
    assert "'\\n'" in said and f"mean loss {losses.mean():.3f}" in said


@pytest.mark.slow
def test_samples_on_the_way_begin_with_lines(place):
    lines = Path("runs/window/samples.txt").read_text()
    from gptlab.training.generation import Sampling, generate

    run = gptlab.load("runs/window")
    how = Sampling(2, seed=run.config.seed)
    texts = generate(run.model.session, run.model.state, run.tokenizer, 12, how, NEWLINE)
    assert lines == "".join(f"step 100: {text}\n" for text in texts)
