"""A worker of a millrace group, and the stats of one, over libmillrace.

    import millrace

    with millrace.Worker("demo", fingerprint="echo-1", capacity=8) as worker:
        for batch in worker:
            for context in batch:
                context.update(int(context.tokens[-1]))
                if context.is_done:
                    context.hand_on()
"""
from ._kinds import Image, Output, Picture, Speech, Vision, image_hash
from ._library import Error, version
from ._stats import Histogram, Stats
from ._view import ReleasedError, View, ViewError
from ._worker import Context, Sampling, Worker

__all__ = ["Context", "Error", "Histogram", "Image", "Output", "Picture", "ReleasedError", "Sampling",
           "Speech", "Stats", "View", "ViewError", "Vision", "Worker", "image_hash", "version"]
__version__ = "0.1.0"
