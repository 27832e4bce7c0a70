"""Upper bounds of everything that waits, in seconds."""

from typing import Final

# A journal replay or a file system check may need it; an application may be given more.
MOUNT_S: Final = 120.0
REPLICATION_S: Final = 30.0
ADDRESSES_S: Final = 10.0
MONITOR_S: Final = 20.0  # Of one monitor action, as the OCF standard proposes.
HANDLER_S: Final = 3.0  # Until DRBD's fence-peer handler has surely asked.
TOLD_S: Final = 1.5  # Until what the kernel knows has been read, without its stream as well.
RESUME_S: Final = 5.0  # Letting frozen writes go on.
LEAVE_S: Final = 60.0  # Added to twice the longest stop limit.
TAKE_OVER_S: Final = 30.0  # Until a peer that can take over has said so, however slow its disk is.
COMMAND_S: Final = 60.0  # Added to the application's own limits.
FORM_ANSWER_S: Final = 10.0
WORD_S: Final = 15.0  # Until a living peer has said what its kernel and ours know already.
UNTOLD_S: Final = 6.0  # Until what the kernel says is surely followed again, and has been read.
# DRBD counts in whole seconds: it may notice a lost peer so much later than the detection time.
KERNEL_LATER_S: Final = 1.0
