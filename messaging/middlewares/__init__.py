"""What happens to every delivery around its handler, one small class each. `messaging.pipeline` puts them in order."""

from messaging.middlewares.base import Middleware, Next, chain

__all__ = ["Middleware", "Next", "chain"]
