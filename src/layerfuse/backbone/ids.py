"""Ids that a tokenizer gives and a model has no row for, which it would end by, or by worse."""

from typing import Any

from layerfuse.backbone.tokens import TokenizedTexts, stand_in_id
from layerfuse.core.errors import DataError


def n_rows(model: Any) -> int | None:
    """Return how many ids a model knows, or None where that cannot be told.

    Parameters
    ----------
    model : PreTrainedModel
        Of any family.

    Returns
    -------
    int or None
        Ids run from 0 to one less.
    """
    try:
        rows = model.get_input_embeddings().weight.shape[0]
    except (NotImplementedError, AttributeError):  # a family that embeds in a way of its own
        return None
    return int(rows)


def padding_id(tokenizer: Any, model: Any) -> int:
    """Return an id to pad with that the model knows; the mask hides it.

    A padding token that was added later often has no row.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
        Its own padding token is taken where there is one.
    model : PreTrainedModel
        The model.

    Returns
    -------
    int
        Else the token that stands for a text without tokens, else 0.
    """
    rows = n_rows(model)
    for found in (tokenizer.pad_token_id, stand_in_id(tokenizer)):
        if found is not None and (rows is None or found < rows):
            return int(found)
    return 0


def check_ids(tokens: TokenizedTexts, tokenizer: Any, model: Any, name: str) -> None:
    """Raise if a text became an id that the model does not know.

    Parameters
    ----------
    tokens : TokenizedTexts
        What is about to run.
    tokenizer : PreTrainedTokenizerFast
        What made them.
    model : PreTrainedModel
        What is about to run them.
    name : str
        For messages.

    Raises
    ------
    DataError
        With the token. torch would say ``index out of range``, and end the whole process on a GPU.
    """
    rows = n_rows(model)
    if rows is None or not len(tokens.ids) or tokens.ids.max() < rows:
        return
    unknown = int(tokens.ids[tokens.ids >= rows][0])
    raise DataError(
        f"{name}: a text holds the token {tokenizer.convert_ids_to_tokens(unknown)!r} of id "
        f"{unknown}, but the weights have {rows} rows, for ids 0 to {rows - 1}. Take the tokenizer "
        "that belongs to these weights; or, where tokens were added to it, give them rows "
        "(resize_token_embeddings of transformers) and save both."
    )
