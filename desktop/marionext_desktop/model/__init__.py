"""The document and all that can be done with it, without a widget: QtCore at most.

Torch, OpenCV and MediaPipe never come into the window's process; PyAV comes late, on threads.
"""
