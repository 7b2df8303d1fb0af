"""The Chromium that is installed."""

import shutil


def chromium() -> str | None:
    """Debian's headless shell, or else the whole browser, which takes three times as long."""
    return shutil.which("chromium-headless-shell") or shutil.which("chromium")
