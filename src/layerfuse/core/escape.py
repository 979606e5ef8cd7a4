"""Escapes text from data for display in a line of text, HTML, SVG or Markdown."""

import html
import json
import re

# HTML, XML and terminals cannot show these characters; some would end a file or control a terminal.
# Directional marks would reverse the text after them, and no word needs them.
_UNSHOWABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")

# Characters with a meaning in Markdown.
_MARKDOWN = re.compile(r"([\\`*_\[\]|~#])")


def one_line(text: str) -> str:
    """Return a text on one line, with single spaces and U+FFFD for characters that cannot be shown.

    Examples
    --------
    >>> one_line(f"two{chr(10)} lines ")
    'two lines'
    """
    return _UNSHOWABLE.sub("\ufffd", " ".join(text.split()))


def escaped(text: str) -> str:
    """Return a text on one line, escaped for HTML or SVG, between tags or quotes.

    Examples
    --------
    >>> escaped('<b> & "c"')
    '&lt;b&gt; &amp; &quot;c&quot;'
    """
    return html.escape(one_line(text))


def literal(text: str) -> str:
    r"""Return a text on one line, escaped for Markdown, also in a table cell.

    Examples
    --------
    >>> literal("<b> a|b")
    '&lt;b&gt; a\\|b'
    """
    entities = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", entities)


def quoted(text: str) -> str:
    r"""Return a text in double quotes, with line breaks and quotes escaped as in JSON.

    Examples
    --------
    >>> print(quoted(f"Review: {chr(10)}"))
    "Review: \n"
    """
    return json.dumps(text, ensure_ascii=False)


def shortened(text: str, length: int) -> str:
    """Return a text on one line; if it is too long, its start and an ellipsis.

    Examples
    --------
    >>> shortened("as it was", 5)
    'as i…'
    """
    line = one_line(text)
    return line if len(line) <= length else f"{line[: length - 1]}…"


def elide(text: str, length: int) -> str:
    """Return a name on one line; if it is too long, an ellipsis and its end, where names differ.

    Examples
    --------
    >>> elide("organisation/model", 6)
    '…model'
    """
    line = one_line(text)
    return line if len(line) <= length else f"…{line[1 - length :]}"
