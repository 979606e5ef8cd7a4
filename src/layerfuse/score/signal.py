"""From the signals of a model to numbers for its layers."""

from layerfuse.core.errors import SignalError
from layerfuse.core.signals import LayerSignals, SignalName
from layerfuse.score.info import Evidence, Measured


def per_layer(evidence: Evidence, name: SignalName, sign: float = 1.0) -> Measured:
    """Give each layer its column of a signal; every pooling of a layer gets the same.

    Parameters
    ----------
    evidence : Evidence
        Of one backbone, with the signal.
    name : SignalName
        Which.
    sign : float
        1 or -1.

    Returns
    -------
    mapping of LayerRef to array of shape (text,)
        Without the layers that have no column: layer 0 has no attention.

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
            f"{name} of {signal.backbone} is of the layers {have}; "
            f"got embeddings of {', '.join(map(str, evidence.block.refs))}."
        )
    return {ref: sign * signal.values[:, column[ref.layer]] for ref in refs}
