"""Formats of numbers, the same on all pages."""


def percent(share: float) -> str:
    """Return a share of 0 .. 1 in percent.

    Examples
    --------
    >>> percent(0.9124)
    '91.2%'
    """
    return f"{share:.1%}"


def interval(low: float, high: float) -> str:
    """Return an interval of shares in percent.

    Examples
    --------
    >>> interval(0.9, 0.924)
    '90.0 to 92.4%'
    """
    return f"{100 * low:.1f} to {100 * high:.1f}%"


def p_value(p: float) -> str:
    """Return a p value with its relation sign.

    Examples
    --------
    >>> p_value(0.0312), p_value(1e-9)
    ('= 0.031', '< 0.001')
    """
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"  # noqa: PLR2004 - smaller p are not reliable


def mebibytes(n_bytes: int) -> str:
    """Return a size in MiB.

    Examples
    --------
    >>> mebibytes(3 * 2**30)
    '3,072.0 MiB'
    """
    return f"{n_bytes / 2**20:,.1f} MiB"


def count(number: int) -> str:
    """Return a count, in millions from one million on.

    Examples
    --------
    >>> count(66_362_880), count(12_345)
    ('66.4 million', '12,345')
    """
    return f"{number:,}" if number < 1_000_000 else f"{number / 1e6:,.1f} million"  # noqa: PLR2004


def yes(value: bool) -> str:  # noqa: FBT001 - the value to format
    """Return ``yes``, or nothing for False, so that the few that are true stand out."""
    return "yes" if value else ""
