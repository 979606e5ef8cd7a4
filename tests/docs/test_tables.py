"""Tables of the documentation say what the lines of results say."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_table_is_stale():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    with_tables = [page for page in pages if "<!-- end " in page.read_text("utf-8")]
    assert len(with_tables) >= 4
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "tables.py", "--check", *with_tables],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
