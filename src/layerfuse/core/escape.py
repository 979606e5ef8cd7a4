"""Words that come from data, made safe to show: in a line of text, HTML, SVG, Markdown."""

import html
import json
import re

# Neither HTML nor XML nor a terminal can show these: some would end a file or steer a terminal. The
# marks of direction would turn around what stands behind them, too; words need none to be read.
_UNSHOWABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")

# What Markdown would take for more than a letter.
_MARKDOWN = re.compile(r"([\\`*_\[\]|~#])")


def one_line(text: str) -> str:
    """Return a text on one line: white space as single spaces, a sign for what cannot be shown.

    Examples
    --------
    >>> one_line(f"two{chr(10)} lines ")
    'two lines'
    """
    return _UNSHOWABLE.sub("\ufffd", " ".join(text.split()))


def escaped(text: str) -> str:
    """Return a text on one line as HTML or SVG shows it, between tags or between quotes.

    Examples
    --------
    >>> escaped('<b> & "c"')
    '&lt;b&gt; &amp; &quot;c&quot;'
    """
    return html.escape(one_line(text))


def literal(text: str) -> str:
    r"""Return a text on one line as Markdown shows it, also in a cell of a table.

    Examples
    --------
    >>> literal("<b> a|b")
    '&lt;b&gt; a\\|b'
    """
    entities = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", entities)


def quoted(text: str) -> str:
    r"""Return a text between quotes, its line breaks and quotes as Python and JSON write them.

    Examples
    --------
    >>> print(quoted(f"Review: {chr(10)}"))
    "Review: \n"
    """
    return json.dumps(text, ensure_ascii=False)


def shortened(text: str, length: int) -> str:
    """Return the start of what is too long, on one line, with an ellipsis.

    Examples
    --------
    >>> shortened("as it was", 5)
    'as i…'
    """
    line = one_line(text)
    return line if len(line) <= length else f"{line[: length - 1]}…"


def elide(text: str, length: int) -> str:
    """Return the end of what is too long, on one line: names differ at the end.

    Examples
    --------
    >>> elide("organisation/model", 6)
    '…model'
    """
    line = one_line(text)
    return line if len(line) <= length else f"…{line[1 - length :]}"
