"""Texts and padding to ids that a model knows: by others it would end, or worse."""

from collections.abc import Sequence
from typing import Any

from layerfuse.backbone.tokens import TokenizedTexts, stand_in_id, tokenize
from layerfuse.core.errors import DataError
from layerfuse.core.spec import BackboneSpec


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


def known_tokens(
    texts: Sequence[str], tokenizer: Any, model: Any, spec: BackboneSpec
) -> TokenizedTexts:
    """Tokenise texts as a backbone reads them, into ids that its model knows.

    Parameters
    ----------
    texts : sequence of str
        May be empty strings.
    tokenizer : PreTrainedTokenizerFast
        The backbone's tokenizer.
    model : PreTrainedModel
        What is about to run them.
    spec : BackboneSpec
        Has the prompt and the number of tokens at which texts are truncated.

    Returns
    -------
    TokenizedTexts
        As ``tokenize`` makes them.

    Raises
    ------
    DataError
        With a token that the model does not know. torch would say ``index out of range``, and end
        the whole process on a GPU.
    """
    tokens = tokenize(tokenizer, texts, spec.max_tokens, spec.prompt)
    rows = n_rows(model)
    if rows is None or not len(tokens.ids) or tokens.ids.max() < rows:
        return tokens
    unknown = int(tokens.ids[tokens.ids >= rows][0])
    raise DataError(
        f"{spec.name}: a text holds the token {tokenizer.convert_ids_to_tokens(unknown)!r} of id "
        f"{unknown}, but the weights have {rows} rows, for ids 0 to {rows - 1}. Take the tokenizer "
        "that belongs to these weights; or, where tokens were added to it, give them rows "
        "(resize_token_embeddings of transformers) and save both."
    )
