"""How the observer that leads repairs the fleet: it decides, orders, and looks whether that helped.

recovering    the duty itself
situation     the picture that is decided about
sight         since when each cause has been looked for
platform      how the platform sees the instances
memory        what was decided and done, as the stream OPS tells it
calls         for what a person is needed, as figures
"""

from workers.observer.recovery.recovering import Recovery, recovering

__all__ = ["Recovery", "recovering"]
