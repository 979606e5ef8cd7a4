"""Warnings: one plain line each, and one total of truncated texts for all batches."""

import warnings

import pytest

from layerfuse import FusionClassifier

pytestmark = pytest.mark.filterwarnings("default")

LONG = b"calm1 " * 70  # the encoder reads 64 tokens


def told(name, counts, prompted=""):
    """Return the expected warning."""
    longer = f"texts are{prompted} longer than max_tokens=64 and were truncated."
    return f"layerfuse: warning: {name}: {counts} {longer}"


@pytest.mark.parametrize(("prompt", "prompted"), [("", ""), ("about {text}", " with the prompt")])
def test_truncated_texts_of_all_batches_are_counted_in_one_warning(
    run, make, toy, tmp_path, prompt, prompted
):
    make(prompt=prompt).fit(*toy(30)).save(tmp_path / "saved")
    lines = [LONG, b"calm1", *[LONG] * 1500, *[b"loud1"] * 900]
    done = run("predict", tmp_path / "saved", stdin=[line + b"\n" for line in lines])

    assert done.code == 0
    assert len(done.out.splitlines()) == 2402
    assert done.err.splitlines() == [told("encoder", "1501 of 2402", prompted)]


def test_each_backbone_has_its_own_count_of_truncated_texts(
    run, make, tiny_encoder, tiny_decoder, toy, tmp_path
):
    fitted = make(backbones=[str(tiny_encoder), str(tiny_decoder)], selector="upper_half")
    fitted.fit(*toy(30)).save(tmp_path / "saved")
    done = run("predict", tmp_path / "saved", stdin=LONG + b"\ncalm1\n")

    assert done.err.splitlines() == [told(name, "1 of 2") for name in ("encoder", "decoder")]


def test_truncated_texts_before_an_interrupt_are_reported(run, saved, monkeypatch):
    predict_proba = FusionClassifier.predict_proba

    def interrupted(self, batch):
        predict_proba(self, batch)
        raise KeyboardInterrupt

    monkeypatch.setattr(FusionClassifier, "predict_proba", interrupted)
    done = run("predict", saved, stdin=LONG + b"\ncalm1\n")

    assert done.code == 130
    assert done.err.splitlines() == [told("encoder", "1 of 2")]


def test_a_repeated_warning_of_predict_is_printed_once_on_one_line(run, saved, monkeypatch):
    predict_proba = FusionClassifier.predict_proba

    def warned(self, batch):
        warnings.warn("of\n  old", stacklevel=1)
        return predict_proba(self, batch)

    monkeypatch.setattr(FusionClassifier, "predict_proba", warned)
    done = run("predict", saved, stdin=b"calm1\n" * 3000)

    assert done.err.splitlines() == ["layerfuse: warning: of old"]


def test_warnings_of_other_commands_are_one_line_without_code(run, data, tiny_encoder, toy_texts):
    file = data(text=[LONG.decode(), *toy_texts[1:]])
    done = run("score", file, "-b", tiny_encoder, "--pooling", "mean", "--resamples", 0)

    assert done.code == 0
    assert done.err.splitlines()[1:] == [told("encoder", "1 of 48")]
