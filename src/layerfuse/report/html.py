"""``report_html``: a report as one self-contained HTML file."""

from layerfuse.core.escape import escaped
from layerfuse.report.contents.answer import leak_warning, quality_table, sentences
from layerfuse.report.document import Report
from layerfuse.report.markup import paragraph, section, table
from layerfuse.report.sections import SECTIONS
from layerfuse.report.style import STYLE


def report_html(report: Report) -> str:
    """Return a report as a page: the summary first, then the details.

    Parameters
    ----------
    report : Report
        Report to show; its empty parts are left out.

    Returns
    -------
    str
        An HTML document without scripts that loads no other files, in light and dark mode, for
        screens of any width and for print. All text from data is escaped.
    """
    bodies = [(key, title, body(report)) for key, title, body in SECTIONS]
    shown = [(key, title, body) for key, title, body in bodies if body]
    links = "".join(f'<li><a href="#{key}">{escaped(title)}</a></li>\n' for key, title, _ in shown)
    title = f"layerfuse on {report.data.name}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # A second defence: the browser runs and loads nothing even if escaping should fail.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escaped(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<main>\n<h1>{escaped(title)}</h1>\n{report_summary(report)}"
        f'<nav aria-label="Sections">\n<ul>\n{links}</ul>\n</nav>\n'
        + "".join(section(*part) for part in shown)
        + "</main>\n</body>\n</html>\n"
    )


def report_summary(report: Report) -> str:
    """Return the summary: a warning if needed, three sentences and the main table.

    Parameters
    ----------
    report : Report
        Report to show.

    Returns
    -------
    str
        A fragment of HTML that notebooks can show.
    """
    return (
        paragraph(leak_warning(report), "warning")
        + paragraph(" ".join(sentences(report)), "answer")
        + table(quality_table(report))
    )
