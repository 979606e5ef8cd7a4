"""``python -m layerfuse``."""

from layerfuse.cli import main

main()
