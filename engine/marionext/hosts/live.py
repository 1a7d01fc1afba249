"""Pictures of poses as they are made: what a window asks for while somebody scrubs.

Every change of the pose is asked about at once; the engine answers the newest question and passes
over those that a newer one has overtaken. So nothing piles up, and the next pose is drawn without
waiting for the window to look. Nothing here waits.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from marionext.hosts.engines import SharedEngine
from marionext.hosts.queue import Starting, Work
from marionext.jobs import LivePose
from marionext.protocol import Failed, Posed

__all__ = ["LivePictures"]


class LivePictures:
    """Asks a shared engine for pictures.

    Args:
        engine: started when it is needed.
    """

    def __init__(self, engine: SharedEngine) -> None:
        """Ask nothing yet."""
        self._engine = engine
        self._held: Callable[[], Work] | None = None
        """The newest question, while an engine is being started for an older one."""
        self._asked: list[Work] = []

    @property
    def waiting(self) -> bool:
        """Whether a picture is still to come."""
        return bool(self._asked)

    def ask(
        self,
        pose: LivePose,
        *,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Ask how the character looks in a pose; it takes the place of what was asked before.

        Args:
            pose: the pose.
            command: how to start the worker; None: this Python's own.
            environment: variables laid over this process's own.
        """
        self._held = partial(self._engine.ask_pose, pose, command=command, environment=environment)
        self._send()

    def poll(self) -> Posed | Failed | None:
        """Return the newest answer that has come since the last call; overtaken ones are none."""
        answer: Posed | Failed | None = None
        for work in list(self._asked):
            for event in work.poll():
                if isinstance(event, Posed | Failed):
                    self._asked.remove(work)
                    overtaken = isinstance(event, Failed) and event.code == "cancelled"
                    answer = answer if overtaken else event
        self._send()
        return answer

    def forget(self) -> None:
        """Want nothing any more; what the engine still answers is not looked at."""
        self._held = None
        self._asked.clear()

    def _send(self) -> None:
        starting = any(isinstance(work, Starting) and not work.begun for work in self._asked)
        if self._held is not None and not starting:
            self._asked.append(Starting(self._held))
            self._held = None
