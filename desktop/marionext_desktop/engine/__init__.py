"""The engine's process as the window sees it: jobs, questions, pictures. Nothing here waits."""

from marionext_desktop.engine.process import Engine, EngineTask

__all__ = ["Engine", "EngineTask"]
