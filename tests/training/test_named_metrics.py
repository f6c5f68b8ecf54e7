"""Which numbers of a row are metrics, of which documents, in which order."""

from gptlab.training.named_metrics import further_sets, in_words, metrics_in, slices_in, told

ROW = {
    "train/loss": 1.0,
    "train/gradNorm": 1.0,
    "val/loss": 1.0,
    "longer/loss": 3.0,
    "val/originalLoss": 1.0,
    "val/perplexity": 2.7,
    "val/exactMatch": 0.5,
    "val/accuracy": 0.75,
    "val/accuracy/length/1-4": 0.8,
    "val/accuracy/length/5-8": 0.7,
    "val/lossByFrequency/rare": 4.0,
    "longer/accuracy": 0.25,
    "train/accuracy": 1.0,
    "norms/length": 2.0,
    "probe/loss": 5.0,
}


def test_metrics_come_in_the_order_in_which_they_were_asked_for():
    assert metrics_in(ROW) == ["exactMatch", "accuracy"]
    assert metrics_in([*ROW, "val/best"]) == ["exactMatch", "accuracy"], "which the store has, and no folder"


def test_slices_are_no_metrics_and_have_what_they_are_slices_of():
    lengths = ["val/accuracy/length/1-4", "val/accuracy/length/5-8"]
    assert slices_in(ROW) == {"accuracy/length": lengths, "lossByFrequency": ["val/lossByFrequency/rare"]}


def test_sets_are_those_with_a_loss_but_for_a_listeners():
    assert further_sets(ROW, ["probe", "norms"]) == ["longer"]
    assert further_sets(ROW) == ["longer", "probe"]
    assert further_sets({"train/loss": 1.0, "val/loss": 1.0}) == []


def test_a_metric_is_told_set_by_set():
    assert list(told(ROW, "accuracy", ["longer"]).items()) == [
        ("val", 0.75),
        ("longer", 0.25),
        ("train", 1.0),
    ]
    assert told(ROW, "exactMatch", ["longer"]) == {"val": 0.5}
    assert in_words(ROW) == ["exactMatch 0.500", "accuracy 0.750 (longer 0.250, training 1.000)"]
