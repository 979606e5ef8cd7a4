"""``report_html``: a report as one file that needs nothing else, online or offline."""

from layerfuse.core.escape import escaped
from layerfuse.report.contents.answer import leak_warning, quality_table, sentences
from layerfuse.report.document import Report
from layerfuse.report.markup import paragraph, section, table
from layerfuse.report.sections import SECTIONS
from layerfuse.report.style import STYLE


def report_html(report: Report) -> str:
    """Return a report as a page: the answer first, then what it rests on.

    Parameters
    ----------
    report : Report
        What a comparison found. What it knows nothing of is left out.

    Returns
    -------
    str
        An HTML document without scripts that loads nothing, with a light and a dark face, for
        screens of any width and for paper. All that comes from data is escaped.
    """
    bodies = [(key, title, body(report)) for key, title, body in SECTIONS]
    shown = [(key, title, body) for key, title, body in bodies if body]
    links = "".join(f'<li><a href="#{key}">{escaped(title)}</a></li>\n' for key, title, _ in shown)
    title = f"layerfuse on {report.data.name}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Should anything slip through the escaping, the browser still runs and loads nothing.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escaped(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<main>\n<h1>{escaped(title)}</h1>\n{report_summary(report)}"
        f'<nav aria-label="Sections">\n<ul>\n{links}</ul>\n</nav>\n'
        + "".join(section(*part) for part in shown)
        + "</main>\n</body>\n</html>\n"
    )


def report_summary(report: Report) -> str:
    """Return the answer alone: a warning, three sentences and the main table.

    Parameters
    ----------
    report : Report
        What a comparison found.

    Returns
    -------
    str
        A fragment of HTML, as notebooks show it.
    """
    return (
        paragraph(leak_warning(report), "warning")
        + paragraph(" ".join(sentences(report)), "answer")
        + table(quality_table(report))
    )
