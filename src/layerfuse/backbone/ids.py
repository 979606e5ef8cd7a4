"""Token and padding ids, checked against the embedding table.

An id without a row would raise ``index out of range``, or on a GPU end the process.
"""

from collections.abc import Sequence
from typing import Any

from layerfuse.backbone.tokens import TokenizedTexts, stand_in_id, tokenize
from layerfuse.core.errors import DataError
from layerfuse.core.spec import BackboneSpec


def n_rows(model: Any) -> int | None:
    """Return the number of rows of a model's embedding table, or None if it cannot be found.

    Parameters
    ----------
    model : PreTrainedModel
        Of any family.

    Returns
    -------
    int or None
        Valid ids are 0 to one less than this.
    """
    try:
        rows = model.get_input_embeddings().weight.shape[0]
    except (NotImplementedError, AttributeError):  # a family without a usual embedding table
        return None
    return int(rows)


def padding_id(tokenizer: Any, model: Any) -> int:
    """Return an id for padding that the model has an embedding for; the mask hides it.

    A padding token that was added later often has no row in the embedding table.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
        The backbone's tokenizer.
    model : PreTrainedModel
        The model.

    Returns
    -------
    int
        The tokenizer's padding token; otherwise the token for texts without tokens; otherwise 0.
    """
    rows = n_rows(model)
    for token_id in (tokenizer.pad_token_id, stand_in_id(tokenizer)):
        if token_id is not None and (rows is None or token_id < rows):
            return int(token_id)
    return 0


def known_tokens(
    texts: Sequence[str], tokenizer: Any, model: Any, spec: BackboneSpec
) -> TokenizedTexts:
    """Tokenise texts as a backbone reads them, and check that the model has every id.

    Parameters
    ----------
    texts : sequence of str
        May contain empty strings.
    tokenizer : PreTrainedTokenizerFast
        The backbone's tokenizer.
    model : PreTrainedModel
        The model that will run them.
    spec : BackboneSpec
        Has the prompt and the token limit.

    Returns
    -------
    TokenizedTexts
        As from ``tokenize``.

    Raises
    ------
    DataError
        If the model has no embedding for a token. torch would raise ``index out of range``, or on a
        GPU end the whole process.
    """
    tokens = tokenize(tokenizer, texts, spec.max_tokens, spec.prompt)
    rows = n_rows(model)
    if rows is None or not len(tokens.ids) or tokens.ids.max() < rows:
        return tokens
    unknown = int(tokens.ids[tokens.ids >= rows][0])
    raise DataError(
        f"{spec.name}: a text has the token {tokenizer.convert_ids_to_tokens(unknown)!r} with id "
        f"{unknown}, but the weights have {rows} rows, for ids 0 to {rows - 1}. Use the tokenizer "
        "of these weights. If tokens were added to it, add rows for them "
        "(resize_token_embeddings of transformers) and save both."
    )
