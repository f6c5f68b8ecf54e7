"""Samples of data with right answers."""

import numpy as np

from gptlab.data.exampled import documents_of
from gptlab.data.examples import Example
from gptlab.data.tokenizers import WordTokenizer
from gptlab.training.answering import answers, has_prompts, prompt_lengths
from gptlab.training.generation import Sampling

EXAMPLES = [
    Example(["a b =", "b a"], ends=True),
    Example(["a =", "a", "b =", "b"]),
    Example(["a b a =", "a"], ends=True),
]
TOKENIZER = WordTokenizer().build(["a b ="])


class Says:
    """A session that goes on with the same tokens after each prompt."""

    def __init__(self, text):
        self.row = [*TOKENIZER.encode(text), TOKENIZER.bos]

    def generate(self, state, choose, prompt, uniforms, settings):
        found = [*prompt[1:].tolist(), *self.row]
        return np.array([found + [TOKENIZER.bos] * (uniforms.shape[1] - len(found))])


def test_the_prompt_is_what_stands_before_the_last_answer():
    documents = documents_of(EXAMPLES, TOKENIZER, 16)
    assert prompt_lengths(documents).tolist() == [4, 6, 5]
    assert has_prompts(documents)
    assert not has_prompts(documents_of([Example(["", "a b"])], TOKENIZER, 16))


def test_a_wrong_answer_stands_beside_the_right_one():
    documents = documents_of(EXAMPLES, TOKENIZER, 16)
    found = answers(Says("b a"), None, TOKENIZER, 16, Sampling(n=5), documents)
    assert found == ["a b = b a", "a = a b = b", "a b a = b a (not a)"], (
        "an end that does not count is not waited for"
    )
    assert len(answers(Says("b a"), None, TOKENIZER, 16, Sampling(n=2), documents)) == 2
