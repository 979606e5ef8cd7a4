"""The public names: found lazily, all of them, and nothing heavy before one is used."""

import subprocess
import sys

import pytest

import layerfuse

HEAVY = {"numpy", "scipy", "sklearn", "torch", "transformers", "pyarrow", "safetensors"}


def modules_after(code: str, environment: dict[str, str]) -> set[str]:
    """Return the packages that a fresh Python has loaded after some code."""
    script = f"{code}\nimport sys; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    return {line.partition(".")[0] for line in done.stdout.splitlines()}


def test_importing_the_package_loads_nothing_heavy(subprocess_environment):
    loaded = modules_after("import layerfuse", subprocess_environment)

    assert "layerfuse" in loaded
    assert not loaded & HEAVY


def test_a_name_loads_what_it_needs_and_no_more(subprocess_environment):
    loaded = modules_after("from layerfuse import EmbeddingStore", subprocess_environment)

    assert "numpy" in loaded
    assert not loaded & {"torch", "transformers", "sklearn"}


@pytest.mark.parametrize(
    ("command", "heavy"),
    [
        (["--help"], HEAVY),
        (["models"], HEAVY),
        (["cache", "ls"], {"torch", "transformers", "sklearn"}),
    ],
)
def test_what_needs_no_model_is_not_kept_waiting_for_what_loads_one(
    command, heavy, subprocess_environment
):
    code = (
        "import sys, layerfuse.cli\n"
        f"sys.argv = ['layerfuse', *{command}]\n"
        "try: layerfuse.cli.main()\n"
        "except SystemExit as end: assert not end.code"
    )
    loaded = modules_after(code, subprocess_environment)

    assert "typer" in loaded
    assert not loaded & heavy


@pytest.mark.parametrize("name", layerfuse.__all__)
def test_every_public_name_is_there(name):
    found = getattr(layerfuse, name)

    assert found.__name__ == name
    assert found.__doc__


def test_all_names_are_listed():
    assert set(layerfuse.__all__) <= set(dir(layerfuse))
    assert sorted(layerfuse.__all__) == list(layerfuse.__all__)
    assert layerfuse.__all__ == list(layerfuse._HOMES)
    assert "__version__" in dir(layerfuse)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"'layerfuse' has no attribute 'FusionClasifier'"):
        _ = layerfuse.FusionClasifier


def test_star_import_gives_all_names():
    names: dict[str, object] = {}
    exec("from layerfuse import *", names)

    assert set(layerfuse.__all__) <= names.keys()
