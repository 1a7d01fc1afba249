"""Start the program: arguments, theme, language, the window."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QCoreApplication, Qt, QTimer
from PySide6.QtGui import QGuiApplication, QIcon
from PySide6.QtWidgets import QApplication

from marionext_desktop.model.garbage import GarbageCollector
from marionext_desktop.model.settings import read_settings
from marionext_desktop.model.words import system_language, use
from marionext_desktop.ui.session import Session
from marionext_desktop.ui.theme import theme
from marionext_desktop.ui.top_bar import logo
from marionext_desktop.ui.window import Window

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Open the window and return the exit status of the program."""
    parser = argparse.ArgumentParser(
        prog="marionext-desktop", description="The timeline editor of Marionext."
    )
    parser.add_argument("files", nargs="*", help="a project, or media to bring in")
    parser.add_argument("--theme", choices=("system", "dark", "light"), default=None)
    parser.add_argument("--language", choices=("en", "zh"), default=None)
    options = parser.parse_args(arguments)
    settings = read_settings()
    language = options.language or settings.language
    use(system_language() if language == "system" else language)
    QCoreApplication.setApplicationName("Marionext")
    QCoreApplication.setOrganizationName("Marionext")
    QGuiApplication.setDesktopFileName("marionext")
    QGuiApplication.setHighDpiScaleFactorRoundingPolicy(
        Qt.HighDpiScaleFactorRoundingPolicy.PassThrough
    )
    application = QApplication(sys.argv[:1])
    theme().apply(options.theme or settings.theme)
    application.setWindowIcon(QIcon(logo(64)))
    garbage = GarbageCollector(application)
    window = Window(Session(), settings)
    window.resize(1600, 960)
    window.restore_layout()
    window.show()
    garbage.keep()
    garbage.spare(window.is_moving)
    if options.files:
        window.open_files([str(Path(path).absolute()) for path in options.files])
    QTimer.singleShot(0, window.begin)
    status = application.exec()
    garbage.close()
    return status
