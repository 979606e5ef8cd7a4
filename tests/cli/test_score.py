"""``score``: the table, the plot, the document, and what is refused before embedding."""

import json
from xml.etree import ElementTree as ET

import pytest

from layerfuse.backbone import Backbone

SVG = "{http://www.w3.org/2000/svg}"
MEAN = ["--pooling", "mean"]
COSTLY = ["--criterion", "importance", "--criterion", "hscore", "--resamples", "2"]


def rows(done):
    """Return the cells of the table by layer."""
    lines = [line.split() for line in done.out.splitlines() if line.split(" ")[0].count(":") == 2]
    return {line[0]: line[1:] for line in lines}


@pytest.fixture
def refused(run, monkeypatch):
    """Run a command that must be refused before any text is embedded; give the one line."""

    def embedded(*arguments, **options):
        raise AssertionError("embedded before the mistake was told")

    def call(*arguments):
        monkeypatch.setattr(Backbone, "stream", embedded)
        done = run("score", *arguments)
        assert (done.code, done.out) == (2, "")
        assert len(done.err.splitlines()) == 1, done.err
        return done.err.removeprefix("layerfuse: error: ").rstrip()

    return call


def test_the_table_has_every_layer_its_stability_and_marks_the_chosen(
    run, data, tiny_encoder, tiny_decoder
):
    file = data()
    done = run("score", file, "-b", tiny_encoder, "-b", tiny_decoder, *MEAN, "-k", 1)
    shown = rows(done)

    assert done.code == 0
    assert done.err.splitlines() == [
        f"48 texts from {file}, column 'text'; labels from column 'label'"
    ]
    assert list(shown) == [f"{name}:{i}:mean" for name in ("encoder", "decoder") for i in range(4)]
    assert sum("*" in cells for cells in shown.values()) == 2
    shares = {name: int(cells[-1].rstrip("%")) for name, cells in shown.items()}
    assert sum(share for name, share in shares.items() if "encoder" in name) == pytest.approx(
        100, abs=3
    )
    assert "Chosen: the best by loo_ridge of each backbone." in done.out
    assert "share of 200 resamples" in done.out


def test_every_line_fits_a_terminal(run, data, new_encoder):
    folder = new_encoder("a-model-of-a-rather-long-name-as-people-give-them")
    done = run("score", data(), "-b", folder, "--criterion", "attention_entropy")
    assert max(map(len, done.out.splitlines())) <= 80
    assert ":3:mean" in done.out


def test_prompts_of_backbones_are_shown(run, data, tiny_encoder):
    two = ["-b", tiny_encoder, "-b", tiny_encoder, "--prompt", "", "--prompt", "about {text}"]
    options = ["--criterion", "depth", "--criterion", "fisher", "--resamples", 0, "--json"]
    document = json.loads(run("score", data(), *two, *MEAN, *options).out)
    shown = run("score", data(), *two, *MEAN, *options[:-1]).out
    plainly = run("score", data(), "-b", tiny_encoder, *MEAN, *options[:-1]).out

    assert shown.splitlines()[:2] == ['prompt of encoder-2: "about {text}"', ""]
    assert plainly.splitlines()[0].startswith("layer")
    assert [document[name]["prompts"] for name in ("depth", "fisher")] == [
        {"encoder-2": "about {text}"},
        {"encoder-2": "about {text}"},
    ]
    plain = json.loads(run("score", data(), "-b", tiny_encoder, *MEAN, *options).out)
    assert plain["depth"]["prompts"] == {}


def test_json_has_each_of_several_criteria(run, data, tiny_encoder):
    criteria = ["--criterion", "depth", "--criterion", "probe", *COSTLY]
    document = json.loads(run("score", data(), "-b", tiny_encoder, *MEAN, *criteria, "--json").out)

    assert list(document) == ["depth", "probe", "importance", "hscore"]
    assert document["depth"]["scores"] == pytest.approx(
        {f"encoder:{i}:mean": score for i, score in enumerate([0, 2 / 3, 2 / 3, 0])}
    )
    for name, choice in document.items():
        layers = list(choice["scores"])
        assert layers[-1] == "encoder:3:mean"
        assert set(choice["selection"]) <= set(layers)
        assert list(choice["stability"]) == list(choice["standard_errors"]) == layers
        assert choice["resamples"] == 2, name
    assert set(document["probe"]["standard_errors"].values()) != {0.0}


def test_the_plot_has_a_panel_for_each_criterion(run, data, tiny_encoder, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    place = tmp_path / "out.svg"
    criteria = ["--criterion", "depth", "--criterion", "loo_ridge", "--resamples", 3]
    done = run(
        "score",
        data(),
        "-b",
        tiny_encoder,
        *MEAN,
        *criteria,
        "--plot",
        "~/out.svg",
        "--resamples",
        3,
    )
    assert done.code == 0
    texts = [t.text for t in ET.parse(place).iter(f"{SVG}text")]
    assert "depth (higher is better)" in texts
    assert "loo_ridge (higher is better)" in texts
    assert "encoder, mean" in texts


@pytest.mark.parametrize("selector", ["top", "upper_half", "greedy", "mrmr", "group_lasso"])
def test_every_selector_chooses_layers(run, data, tiny_encoder, selector):
    options = ["--selector", selector, "--resamples", 2, "--json"]
    document = json.loads(run("score", data(), "-b", tiny_encoder, *options).out)
    assert document["loo_ridge"]["selection"]


def test_a_budget_excludes_layers_that_are_too_deep(run, data, tiny_encoder, tiny_decoder):
    given = ["score", data(), "-b", tiny_encoder, "--selector", "budget", "--json", "-k", 1]
    block = Backbone.from_pretrained(tiny_encoder).blocks.container[0]
    whole = sum(p.nbytes for p in Backbone.from_pretrained(tiny_encoder).model.parameters())
    less = (whole - 2 * sum(p.nbytes for p in block.parameters())) / 2**20
    (layer,) = json.loads(run(*given, "--max-mb", less).out)["loo_ridge"]["selection"]
    assert layer in {"encoder:0:mean", "encoder:1:mean"}
    done = run(*given, "--max-mb", less * 0.9)
    assert done.code == 2
    assert "Nothing fits the budget. The cheapest possible: encoder:" in done.err


def test_without_labels_only_label_free_criteria_work(run, refused, data, tiny_encoder):
    bare = data(label=None, by=None, number=None)
    done = run("score", bare, "-b", tiny_encoder, "--criterion", "rankme", "--resamples", 2)
    assert done.code == 0
    assert "rankme: Knows nothing of the task" in done.err
    line = refused(bare, "-b", tiny_encoder, "--criterion", "rankme", "--criterion", "probe")
    assert "label" in line
    assert "These criteria need no labels: " in line
    assert "rankme" in line
    assert "label" in refused(
        bare, "-b", tiny_encoder, "--criterion", "rankme", "--selector", "mrmr"
    )


def test_a_named_label_column_is_checked_even_if_no_labels_are_needed(run, data, tiny_encoder):
    given = ["score", data(), "-b", tiny_encoder, "--criterion", "rankme", "--resamples", 2]
    wrong, right = (run(*given, "--label-column", name) for name in ("nonsense", "label"))
    assert (wrong.code, right.code) == (2, 0)
    assert "nonsense" in wrong.err
    assert "'label'" in right.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--criterion", "prob"], "Did you mean 'probe'?"),
        (["--selector", "gredy"], "Did you mean 'greedy'?"),
        (["-k", "5"], "k=5, but there are 4 layers in encoder. Choose 1 to 4."),
        (["-k", "5", "--selector", "top"], "k=5, but there are 4 layers in all backbones."),
        (["--selector", "budget"], "the selector 'budget' and a limit belong together"),
        (["--max-ms", "3"], "the selector 'budget' and a limit belong together"),
        (["--plot", "nowhere/out.svg"], "nowhere/out.svg cannot be written: there is no folder /"),
        (["--plot", "out.png"], "--plot writes SVG, got out.png. Name it out.svg."),
    ],
)
def test_a_mistake_is_refused_before_any_text_is_embedded(
    refused, data, tiny_encoder, options, said
):
    assert said in refused(data(), "-b", tiny_encoder, *MEAN, *options)


def test_layers_are_plotted_at_their_depth_even_if_the_last_has_no_score(
    run, data, tiny_encoder, tmp_path
):
    places = {}
    for criterion in ("curvature", "depth"):
        plot = tmp_path / f"{criterion}.svg"
        given = "score", data(), "-b", tiny_encoder, *MEAN, "--criterion", criterion
        assert run(*given, "--resamples", 2, "--plot", plot).code == 0
        places[criterion] = {
            mark.findtext(f"{SVG}title").split(":")[1]: mark.get("cx")
            for mark in ET.parse(plot).iter(f"{SVG}circle")
            if mark.findtext(f"{SVG}title")
        }
    assert list(places["curvature"]) == ["1", "2"]  # of three
    assert places["curvature"].items() < places["depth"].items()


def test_a_folder_is_refused_as_the_file_of_a_plot(refused, data, tiny_encoder, tmp_path):
    (tmp_path / "plots.svg").mkdir()
    line = refused(data(), "-b", tiny_encoder, "--plot", tmp_path / "plots.svg")
    assert "plots.svg cannot be written: it is a folder." in line


def test_fit_keeps_the_budget(run, data, tiny_encoder, tmp_path):
    block = Backbone.from_pretrained(tiny_encoder).blocks.container[0]
    whole = sum(p.nbytes for p in Backbone.from_pretrained(tiny_encoder).model.parameters())
    less = (whole - 2 * sum(p.nbytes for p in block.parameters())) / 2**20
    given = ["fit", data(), "-b", tiny_encoder, "-o", tmp_path / "x", "--selector", "budget"]
    document = json.loads(run(*given, "--max-mb", less, "-k", 2, "--json").out)
    assert {int(layer.split(":")[1]) for layer in document["selection"]} <= {0, 1}


@pytest.mark.parametrize("half", [["--selector", "budget"], ["--max-ms", "9"]])
def test_fit_refuses_selector_budget_without_a_limit_and_the_reverse(
    run, data, tiny_encoder, tmp_path, half
):
    done = run("fit", data(), "-b", tiny_encoder, "-o", tmp_path / "x", *half)
    assert done.code == 2
    assert "the selector 'budget' and a limit belong together" in done.err


@pytest.mark.parametrize("selector", ["top", "best", "mrmr", "group_lasso"])
def test_fit_takes_every_other_selector(run, data, tiny_encoder, tmp_path, selector):
    options = ["--selector", selector, "--head", "ridge", "--no-lexical", "--json"]
    done = run("fit", data(), "-b", tiny_encoder, "-o", tmp_path / "x", *options)
    assert json.loads(done.out)["selection"]


def test_near_duplicates_are_scored_once(
    run, data, tables, tmp_path, tiny_encoder, toy_texts, toy_labels
):
    once = run("score", data(), "-b", tiny_encoder, *MEAN)
    columns = {"text": [*toy_texts, *toy_texts[:3]], "label": [*toy_labels, *toy_labels[:3]]}
    more = tables.write(tmp_path / "more.csv", columns)
    twice = run("score", more, "-b", tiny_encoder, *MEAN)
    assert "left out 3 near-duplicates; 48 texts are scored" in twice.err
    assert twice.out == once.out
