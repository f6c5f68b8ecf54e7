"""What is kept of the data of a run."""

from dataclasses import dataclass, field

BASELINE = "baseline/"  # how the facts of a data set begin that are losses of predictors: `baseline/bigram`


@dataclass(frozen=True)
class DatasetFacts:
    """Which data a run saw: enough to tell two data sets apart without keeping either."""

    name: str
    source: str  # a path, or "gptlab" for what is generated or ships with a package
    digest: str  # hex SHA-256 of the documents in order, shortened to 16 characters
    documents: int
    train: int
    validation: int
    facts: dict[str, float] = field(default_factory=dict)  # e.g. entropyPerWord, unigramEntropy (nats)
