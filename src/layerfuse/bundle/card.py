"""The model card of a saved classifier."""

from collections.abc import Sequence

from layerfuse.core.escape import literal, one_line
from layerfuse.core.selection import Selection


def model_card(
    *,
    classes: Sequence[str],
    selection: Selection,
    fusion: str,
    head: str,
    validation: Sequence[str],
    backbones: Sequence[str],
    n_parameters: int,
) -> str:
    """Return a model card in Markdown.

    Parameters
    ----------
    classes : sequence of str
        Labels.
    selection : Selection
        Layers in use.
    fusion : str
        Name of the fusion.
    head : str
        Kind of head.
    validation : sequence of str
        One line per candidate head that was validated on the training texts.
    backbones : sequence of str
        One line per backbone: origin, weights, layers kept.
    n_parameters : int
        Number of backbone parameters used in prediction.

    Returns
    -------
    str
        Markdown that begins with the hub's metadata.
    """
    lines = [
        "---",
        "library_name: layerfuse",
        "pipeline_tag: text-classification",
        "---",
        "",
        "# Text classifier on fused layers of frozen transformers",
        "",
        f"Classes: {', '.join(map(literal, classes))}",
        "",
        f"Fusion `{fusion}`, head `{head}`, {n_parameters:,} frozen parameters.",
        "",
        "## Backbones, cut at the deepest layer in use",
        "",
        *[f"- {one_line(line)}" for line in backbones],
        "",
        f"## Layers in use: {literal(selection.reason)}",
        "",
        *[f"- `{one_line(str(ref))}`" for ref in selection],
        "",
    ]
    if validation:
        lines += [
            "## Validation on the training texts",
            "",
            "Layers were chosen on these texts, so the numbers are optimistic, most for few texts.",
            "",
            *[f"- {v}" for v in validation],
            "",
        ]
    lines += [
        "## Use",
        "",
        "```python",
        "from layerfuse import FusionClassifier",
        "",
        'classifier = FusionClassifier.load("this-folder")',
        'classifier.predict(["a text"])',
        "```",
        "",
    ]
    return "\n".join(lines)
