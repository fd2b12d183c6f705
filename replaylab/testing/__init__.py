"""For authors of feeds: `FeedContract`, what a feed promises, and `FaultProxy`, a network that fails on demand."""

from replaylab.testing.contract import FeedContract, collected
from replaylab.testing.fault_proxy import FaultProxy

__all__ = ["FaultProxy", "FeedContract", "collected"]
