"""What a publisher's request sets off: a PING, a POST, a FULL, or the check of one."""

from shared.flows.checking import check, check_reader
from shared.flows.stories import full, ping, post
from shared.flows.world import World

__all__ = ["World", "check", "check_reader", "full", "ping", "post"]
