"""What comes into the window's process, and a Qt that does not lose references."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "desktop" / "marionext_desktop" / "model"
HEAVY = {
    "torch", "diffusers", "transformers", "cv2", "mediapipe", "av", "PIL", "bpy", "opentimelineio",
    "miniaudio", "matplotlib",
}  # fmt: skip
ROOMS = (
    "marionext_desktop.engine",
    *sorted(
        f"marionext_desktop.model.{path.stem}"
        for path in MODEL.glob("*.py")
        if path.stem != "__init__"
    ),
)

IMPORT_AND_TELL = """
import json, sys
for name in sys.argv[1:]:
    __import__(name)
print(json.dumps(sorted(sys.modules)))
"""


def modules_after(*names: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_AND_TELL, *names],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_the_document_needs_no_widget_and_nothing_heavy() -> None:
    found = modules_after(*ROOMS)
    assert {name.partition(".")[0] for name in found} & HEAVY == set()
    assert found & {"PySide6.QtGui", "PySide6.QtWidgets", "PySide6.QtSvg"} == set()
    assert found & {"marionext.output", "marionext.planning", "marionext.capture"} == set()


LOSES_NONE = """
import sys
from PySide6.QtCore import QLineF, QObject, QPointF, QRectF, QTimer, Signal
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPen, QPixmap, QPolygonF
from PySide6.QtWidgets import QApplication, QLabel, QWidget
app = QApplication([])
image = QImage(64, 64, QImage.Format.Format_RGB32)
pixmap = QPixmap(8, 8)
pixmap.fill(QColor("red"))
painter = QPainter(image)
label, timer = QLabel("x"), QTimer()

class Shown(QWidget):
    def paintEvent(self, event):
        pass

class Told(QObject):
    signal = Signal(int)

shown, told = Shown(), Told()
shown.show()
told.signal.connect(lambda value: None)
calls = {
    "fillRect": lambda: painter.fillRect(0, 0, 1, 1, QColor("red")),
    "drawLine": lambda: painter.drawLine(0, 0, 1, 1),
    "drawLines": lambda: painter.drawLines([QLineF(0, 0, 1, 1)]),
    "drawText": lambda: painter.drawText(1, 1, "a"),
    "drawPixmap": lambda: painter.drawPixmap(0, 0, pixmap),
    "drawImage": lambda: painter.drawImage(QRectF(0, 0, 2, 2), pixmap.toImage()),
    "drawPath": lambda: painter.drawPath(QPainterPath()),
    "drawPolygon": lambda: painter.drawPolygon(QPolygonF([QPointF(0, 0), QPointF(1, 1)])),
    "drawEllipse": lambda: painter.drawEllipse(QPointF(1, 1), 1, 1),
    "drawRoundedRect": lambda: painter.drawRoundedRect(QRectF(0, 0, 1, 1), 1, 1),
    "setPen": lambda: painter.setPen(QPen()),
    "setBrush": lambda: painter.setBrush(QColor("red")),
    "save, restore": lambda: (painter.save(), painter.restore()),
    "setOpacity": lambda: painter.setOpacity(0.5),
    "translate": lambda: painter.translate(0, 0),
    "update": lambda: shown.update(),
    "repaint": lambda: shown.repaint(),
    "resize": lambda: shown.resize(9, 9),
    "setText": lambda: label.setText("a"),
    "setToolTip": lambda: label.setToolTip("a"),
    "start, stop": lambda: (timer.start(1000), timer.stop()),
    "emit": lambda: told.signal.emit(1),
}
for name, call in calls.items():
    call()
    before = sys.getrefcount(None)
    for _ in range(200):
        call()
    lost = before - sys.getrefcount(None)
    if abs(lost) > 100:
        print(f"{name}: {lost / 200:+.1f} references to None lost a call")
painter.end()
"""


def test_qt_loses_no_references(monkeypatch: pytest.MonkeyPatch) -> None:
    # PySide6 6.12.0 does on Python 3.11, and after some thousand calls Python aborts.
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    done = subprocess.run(
        [sys.executable, "-c", LOSES_NONE], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
