"""Scores of layers from the signals of a model."""

from layerfuse.core.errors import SignalError
from layerfuse.core.signals import LayerSignals, SignalName
from layerfuse.score.info import Evidence, Measured


def per_layer(evidence: Evidence, name: SignalName, sign: float = 1.0) -> Measured:
    """Score each layer by its column of a signal; all poolings of a layer get the same scores.

    Parameters
    ----------
    evidence : Evidence
        Evidence of one backbone, with the signal.
    name : SignalName
        Name of the signal.
    sign : float
        1 or -1, multiplies the signal.

    Returns
    -------
    mapping of LayerRef to array of shape (text,)
        Scores of the layers that have a column; layer 0 has no attention.

    Raises
    ------
    SignalError
        If no layer has a column.
    """
    signal: LayerSignals = evidence.signals[name]
    column = {layer: i for i, layer in enumerate(signal.layers)}
    refs = [ref for ref in evidence.block.refs if ref.layer in column]
    if not refs:
        have = ", ".join(map(str, signal.layers))
        raise SignalError(
            f"{name} of {signal.backbone} covers the layers {have}; "
            f"got embeddings of {', '.join(map(str, evidence.block.refs))}."
        )
    return {ref: sign * signal.values[:, column[ref.layer]] for ref in refs}
