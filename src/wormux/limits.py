"""Every bound of Wormux, with its unit and the reason for the number.

Bounds that clients meet are part of the protocol and change only with it. The agent reads this file too,
so it stays within Python 3.9. Where bounds must agree it is asserted at the end.
"""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB

# --- Frames and messages (protocol §1, §7) -----------------------------------------------------------------

FRAME_BYTES = 1 * MIB
"""The largest WebSocket message either side may send."""
OUTPUT_FRAME_BYTES = 64 * KIB
"""The largest payload of terminal bytes that the server sends in one frame: large enough that framing costs
nothing, small enough that a control message never waits long behind one."""
REF_CHARS = 64
CLIENT_ID_CHARS = 64
NAME_CHARS = 100
TITLE_CHARS = 256
CWD_CHARS = 1024
COMMAND_CHARS = 256
REASON_CHARS = 512

# --- Counts per user (protocol §7) -------------------------------------------------------------------------

PANES = 255
"""Channels 0..254."""
SESSIONS = 64
CONNECTIONS = 32
KNOWN_CLIENTS = 64
KNOWN_CLIENT_S = 24 * 3600.0
CONTROL_MESSAGES = 1000
CONTROL_MESSAGES_WITHIN_S = 10.0
UNANSWERED_REQUESTS = 256
CONNECT_WITHIN_S = 10.0
NOT_FOUND_EVERY_S = 1.0
"""At most one `not_found` per channel in this time: a client that types into a closed pane hears it once."""

# --- Sizes of terminals ------------------------------------------------------------------------------------

MIN_COLS = MIN_ROWS = 2
"""A terminal of one row or column crashes emulators and shows nothing."""
MAX_COLS = MAX_ROWS = 1000
DEFAULT_COLS = 80
DEFAULT_ROWS = 24
MAX_VIEWPORT_PX = 100_000
"""Width and height in `connect`: above any screen, below any overflow."""
CELL_WIDTH_PX = 8.4
CELL_HEIGHT_PX = 16.8
CHROME_HEIGHT_PX = 52.0
CHROME_WIDTH_PX = 16.0
"""The page's 14 px font, bar and padding: a first guess of a new pane's size, until its page has measured."""

# --- Announcements -----------------------------------------------------------------------------------------

UPDATE_EVERY_S = 0.016
"""One frame of a 60 Hz display: more updates would not be seen."""
QUIET_UPDATE_EVERY_S = 0.25
"""When only title, cwd, command or queued changed."""
RATIO_SUM_TOLERANCE = 0.01
"""How far the shares of a split may be from 1; they are normalised."""
SLEEPS_AT_SHOWN_S = 60.0

# --- Output ------------------------------------------------------------------------------------------------

LOG_BYTES = 2 * MIB
"""Kept of each pane's output: twice the window, so that a client that fell behind can go on where it stopped."""
LOG_SIZE_MARKS = 1024
"""Changes of size remembered per pane; more cost the oldest output."""
CHECKPOINT_LOG_BYTES = 128 * KIB
"""The newest output in a checkpoint: for clients that go on where they stopped, and in case its screen cannot be
read: some thousand lines of a shell."""
FLOW_WINDOW_BYTES = 1 * MIB
"""How far the server runs ahead of what a client has drawn, per pane: 80 ms at the PTY's speed."""
FLOW_RESUME_BYTES = FLOW_WINDOW_BYTES // 2
FLOW_ACK_BYTES = 128 * KIB
"""A client acknowledges at least this often: an eighth of the window, so that it never runs dry for want of one."""
CONNECTION_UNSENT_BYTES = 2 * MIB
"""Waiting for one socket, all panes together: what a stalled client may cost."""
REDRAW_EVERY_S = 0.25
"""At most four redraws a second per client and pane, for clients that fell behind."""
POSITION_MARK_BYTES = 64 * MIB
"""How far ahead of the stream its stored mark lies; half of it is the warning at which the next is stored."""
REV_MARK = 1 << 16
"""How far ahead of `rev` its stored mark lies: in microseconds, less than a server takes to start."""

# --- Screens -----------------------------------------------------------------------------------------------

SCREEN_BACKLOG_BYTES = 1 * MIB
"""Fed to a pane's screen and not in it yet: past this its terminal is not read, until half of it is. Well below what
the log keeps, so that a redraw is never older than the log."""
SCREEN_TOLD_BYTES = 128 * KIB
SCREEN_TOLD_WITHIN_S = 0.01
"""How much output screens take, or how long, before they say so, where nobody waits for more than that: a flood is
answered now and then, and its end soon."""
REDRAW_LOG_BYTES = 128 * KIB
"""The newest output that stands in for a screen where there is no emulator: some thousand lines of a shell."""
SCREENS_AT_ONCE = 3
"""Screens of one pane that may be lost in a row before the next waits."""
SCREEN_EVERY_S = 1.0
"""Between the next ones. Workers that die in a row are followed by others ever later; this bounds the rest."""
SCREEN_FRAME_BYTES = 64 * MIB
"""The largest frame on the link to a worker: a checkpoint, were it not compressed at all."""
SCREEN_SCROLLBACK_BYTES = 8 * MIB
"""Of the emulator's memory, per screen: about 11,000 rows of 80 columns (measured)."""
SCREEN_CONTINUATION_BYTES = 8 * MIB
"""Of an unfinished sequence that the emulator keeps; one that is longer is kept as one that means nothing."""
SCREENS_MEMORY_BYTES = 512 * MIB
"""All screens of a server together, unless it is told otherwise; the oldest scrollback goes first."""
LEAST_SCREENS_MEMORY_BYTES = 32 * MIB
"""Below it, not even the visible screens of all panes have room."""
SCREEN_WORKERS = 4
"""The most processes that screens are spread over; as many as there are cores beside the server's own."""
SCREEN_WORKER_SPARE_BYTES = 1024 * MIB
"""Of memory, beyond twice what its screens may take: the interpreter, a frame of the largest size in several copies,
and what screens take until they are looked at again. An emulator that wants more gets none, rather than the kernel
choosing whom to kill."""
SCREEN_REQUEST_CPU_S = 20.0
"""Of computing, for one request: a hundred times what the largest takes. An emulator that loops would stop all panes
of its worker for ever."""
SCREEN_CRASHES = 2
"""Of workers while they worked for the same pane, before that has no emulator any more: one may be chance."""
SCREEN_PANES_REMEMBERED = 1024
"""Of those that are suspected of crashes or have no emulator: four times the panes that a user may have, since
nobody says when one is closed."""
SCREEN_WORKER_YOUNG_S = 2.0
"""Workers that die sooner after their start, in a row, are followed by the next ever later."""
SCREEN_WORKERS_AT_ONCE = 2
"""Workers in a row that may die young before the next is delayed: enough to find out a pane that kills them."""
SCREEN_WORKERS_UNHEARD = 3
"""Workers in a row that may die before they do anything. Then screens do without an emulator, but for a try every
`SCREEN_WORKER_DELAY_CAP_S`: pages must show something."""
SCREEN_WORKER_DELAY_FLOOR_S = 0.25
SCREEN_WORKER_DELAY_CAP_S = 15.0
"""A start costs a third of a second of computing, so what can never work costs a few percent of a core."""
ANSWERS_UNWRITTEN_BYTES = 64 * KIB
"""Answers to queries that a program has not read: one that asks for more does not wait for them."""
REDRAW_LINES = 200
"""Of scrollback, in a redraw that nobody asked for."""
REDRAW_BYTES = 512 * KIB
"""The most that such a redraw takes."""
DEEP_REDRAW_LINES = 10_000
"""The most lines of scrollback that a redraw may be asked for; as many as the page keeps."""
DEEP_REDRAW_BYTES = 1 * MIB
"""The most that a redraw takes that was asked for: half of what may wait for a socket."""

# --- Input -------------------------------------------------------------------------------------------------

INPUT_PANE_BYTES = 256 * KIB
"""Past the last `input_ack`, per client and pane."""
INPUT_CLIENT_BYTES = 4 * MIB
"""Past the last `input_ack`s, per client."""
INFLIGHT_PANE_BYTES = 4 * MIB
"""Handed to a pane's agent and not acknowledged, all clients together; the rest waits in the hub, where the
clients' own windows bound it."""
QUEUE_WAITS_S = 30.0
"""A command that runs minutes after it was typed does harm."""
FORGET_AGAIN_S = 60.0
"""A client that left while its input is on its way is forgotten when that is settled; looked at this often."""
LARGEST_POSITION = 2**53 - 1
"""Of a stream, as a client may say it: what JavaScript counts exactly."""
REPORTS_BYTES = 4 * KIB
"""Longer input is no mere report of mouse or focus."""
DISCARD_NOTICES = 16
"""Kept per client and pane, to be sent again after a cut."""

# --- The agent and its link --------------------------------------------------------------------------------

AGENT_LOG_BYTES = 2 * MIB
"""Kept of each terminal's output by the agent, so that a killed server finds what it missed."""
LINK_OUTPUT_BYTES = 64 * KIB
"""The most that one OUTPUT frame of the link carries: reads of the PTY are drained up to here."""
LINK_FRAME_BYTES = 1 * MIB
"""The largest payload of a frame on the link; more is a broken peer."""
LINK_INPUT_BYTES = 512 * KIB
"""The most that one INPUT frame carries."""
AGENT_CLIENTS_PER_PANE = 64
"""For how many clients the agent remembers input positions; the one that typed longest ago goes first."""
AGENT_TERMINALS = 1024
"""Living or over and not forgotten, at one agent: four times the panes that a user may have."""
PANE_ID_BYTES = 128
"""Of a pane's id, at an agent: many times what a server makes. So all its terminals fit into one frame."""
LARGEST_START = LARGEST_POSITION // 2
"""Of a terminal's output: what it writes is still counted exactly."""
AGENT_UNWRITTEN_BYTES = 8 * MIB
"""Input that a terminal has not taken yet. The server keeps below it; more is a broken peer."""
SERVER_GONE_WAIT_S = 10.0
"""How long a terminal waits for a vanished server rather than overwrite what that server did not get."""
READY_WITHIN_S = 1.0
"""A fresh shell is taken for ready to read after this long, whatever it shows."""
ORPHAN_S = 24 * 3600.0
"""An agent without a server ends after this long without input or output."""
STOP_GRACE_S = 2.0
"""Between SIGHUP and SIGKILL."""
BUSY_POLL_S = 1.0
"""How often the agent looks at its processes while something runs or moves."""
BUSY_LOOK_AFTER_S = 0.1
"""From input or output to the agent's next look at its processes: a command has started by then, and a flood
costs ten looks a second."""
BUSY_LOOK_SHARE = 0.05
"""The most of one core that looking may take: where a look is dear (many processes), looks are further apart."""
INPUT_ACK_WITHIN_S = 0.005
"""How long the acknowledgement of input waits for the echo, to go with it: longer than an echo takes, and nothing that
a sender of less than its window would notice."""
READY_LOOK_EVERY_S = 0.005
"""How often a fresh shell is looked at until it is ready: below what a person can notice."""
LINK_UNSENT_BYTES = 256 * KIB
"""How far a terminal may run ahead of what its connection has taken, before it is not read any more."""
LINK_NOTES_BYTES = 256 * KIB
"""Answers and news that a connection has not taken, beyond its output: past this it is not read any more."""
LINK_CONNECTIONS = 1024
"""Open at one agent: four times the panes that a user may have."""
LINK_HELLO_WITHIN_S = 10.0
"""A connection that has not said what it wants by then is closed."""
AGENT_UNSAVED_BYTES = AGENT_LOG_BYTES // 2
"""Of what was sent last, so much may be lost with a killed server: what lay in the socket, and what its last
checkpoint does not hold. It is not overwritten either while the agent waits for the server."""
AGENT_SIZE_MARKS = 1024
"""Changes of size remembered per terminal; beyond it the oldest output is taken for of the next size."""
AGENT_DRAIN_BYTES = 256 * KIB
"""Read from a terminal after its shell ended: more than the kernel holds, so that what is left then was written by
background programs that still have the terminal."""
AGENT_FLUSH_S = 5.0
"""How long a stopping agent waits for its connections to take what they are owed."""
AGENT_CHECK_S = 2.0
"""How often a quiet agent looks whether it is still wanted: is its data directory there, does a server come back."""
AGENT_GAP_S = 5.0
"""An agent that runs so much later than it asked for was not slow: it was frozen, or its machine was paused. Above any
delay of a loaded machine that people would put up with."""
SHELLS_SETTLE_WITHIN_S = 0.2
"""How long a sandbox that is to sleep waits for shells that are just writing their prompts."""
PROGRAM_STARTS_WITHIN_S = 0.05
"""From the fork of a shell until its program is executed and has its own name, on a loaded machine."""
SHELLS_STOP_WITHIN_S = 0.5
"""From SIGSTOP until shells at their prompts are seen stopped: they need no more than a turn of a loaded core."""
OOM_KNOWN_WITHIN_S = 10.0
"""From a kill for want of memory to the end of what was killed, which must give back all its memory first."""
AGENT_LINGER_S = 60.0
"""An agent without living shells and without a server stays this long: a restarting server finds the end of its
terminals, a fresh agent its first server."""
ENVIRONMENT_BYTES = 256 * KIB
"""Of a shell's exported variables, for them to be kept over sleep: twice what the kernel takes for one of them."""
ENVIRONMENT_VARIABLES = 1024
"""Of one shell, for them to be kept over sleep: ten times the usual."""
AGENT_COMPLAINTS = 100
"""Lines that an agent writes to stderr about broken connections: programs in the sandbox could make it write more."""
DEATH_KNOWN_WITHIN_S = 0.1
"""Between the end of a link and the news that its agent died: the kernel tells both at nearly the same time."""
AGENT_NOTES_BYTES = 64 * KIB
"""What an agent may have written to its log file before the next agent's start sets it aside."""
SOCKET_PATH_BYTES = 107
"""The kernel's limit for the path of a unix socket (sun_path, less its final NUL)."""

# --- Containers --------------------------------------------------------------------------------------------

DAEMON_WITHIN_S = 30.0
"""What is asked of the daemon that runs containers is done or given up by then; a start on a busy machine takes
seconds."""
CONTAINER_STOP_S = 5
"""Between SIGTERM and SIGKILL for a container whose agent answers no more."""
CONTAINER_ENDED_WITHIN_S = 1.0
"""Between the death of a container's main process and the daemon's word on why; less than an operation on the sandbox
waits for the end of its link."""
CONTAINER_REMOVED_WITHIN_S = 0.5
"""A container that was killed may be about to be removed: that is the better reason, if it comes this soon."""
CONTAINER_LOOK_EVERY_S = 0.02
CONTAINER_ENDING_S = 0.2
"""An agent that has said goodbye has ended by then; one that is mute is stopped after it."""
BOOT_ORDER_BYTES = 64 * KIB
"""What an agent in a container is told at its start."""

# --- Opening, retrying, sleeping ---------------------------------------------------------------------------

ATTEMPTS = 8
"""0.5 + 1 + 2 + ... s: about a minute of trying before `failed`."""
RETRY_FLOOR_S = 0.5
RETRY_CAP_S = 30.0
RETRY_JITTER = 0.2
"""A delay is drawn from [1 - jitter, 1] of its nominal length, and never goes below the floor."""
OPEN_WITHIN_S = 15.0
"""An agent that has not answered an open or attach by then is taken for dead."""
WAKE_WITHIN_S = 60.0
SPARE_AGENT_AFTER_S = 0.2
"""After an agent was needed, the next one is loaded: late enough not to slow the shell that is just starting."""
STOP_WITHIN_S = 15.0
FREEZE_WITHIN_S = 2.0
"""Until every process of a sandbox stands still: a tenth of a millisecond, but for what the kernel holds in a call."""
GROUP_EMPTY_WITHIN_S = 2.0
"""Until what was killed in a control group has left it."""
SANDBOX_FILES_LEAST = 128
SANDBOX_MEMORY_LEAST_BYTES = 64 * MIB
SANDBOX_PROCESSES_LEAST = 8
"""Limits of a sandbox below these would end its agent rather than what runs there."""
GROUP_ABANDONED_S = 10.0
"""An empty control group of this age was left behind: a new one gets its first process at once."""
SHORT_LIVED_S = 2.0
"""A shell that ended sooner after its start is held as `exited`: its message must stay readable."""
DEFAULT_IDLE_TIMEOUT_S = 600.0
MIN_IDLE_TIMEOUT_S = 1.0
DEFAULT_STOP_AFTER_S = 3600.0
"""How long a frozen sandbox keeps its memory, with freeze-then-stop."""
BUSY_AGAIN_S = 5.0
"""After a sandbox refused to stop because it is busy, the next try is at least this far away."""
SUSPENDED_S = 30.0
"""If so much time passed that the server did not see, its machine was suspended: idle time begins anew."""
LEASE_S = 7 * 24 * 3600

# --- What a server can be told -----------------------------------------------------------------------------

LONGEST_DURATION_S = 36500 * 24 * 3600.0
"""A hundred years: beyond it people mean never, and timers overflow."""
LARGEST_SIZE_BYTES = 2**50
"""More than any machine has, and far from what no counter holds."""
LARGEST_COUNT = 2**31 - 1
"""What the kernel counts with."""

# --- Isolated sandboxes ------------------------------------------------------------------------------------

SANDBOX_TMP_BYTES = 1024 * MIB
"""Of files in the /tmp of an isolated sandbox, which is memory: what a large build puts there, and no more."""
SANDBOX_SHM_BYTES = 64 * MIB
"""Of shared memory by name, likewise; what container engines give."""
ISOLATED_PROCESSES = 1024
"""In an isolated sandbox, threads included, unless it is told otherwise: a parallel build or a browser, and a program
that forks without end stops before the machine does."""
ISOLATED_OPEN_FILES = 16384
"""Of each process of an isolated sandbox, unless it is told otherwise: a busy server's."""
ISOLATION_TRIED_WITHIN_S = 20.0
"""Trying out isolation at the start: a hundred times what it takes."""

# --- Cloudflare sandboxes ----------------------------------------------------------------------------------

CLOUDFLARE_KEPT_BYTES = 256 * KIB
"""What such a sandbox keeps of each terminal's output, and sends again on every connect; as much is remembered here,
so that it is recognised."""
CLOUDFLARE_OVERLAP_BYTES = 64
"""Shorter, the end of what was seen and the beginning of what is kept may be alike by chance: a line of dashes."""
CLOUDFLARE_FRAME_BYTES = 16 * MIB
"""The largest frame that is taken from there: more drops the connection there as well."""
CLOUDFLARE_HELD_BYTES = 8 * MIB
"""Read ahead while a terminal is held: half of what makes its link deaf. Past it the link is let go of, and taken up
again later, less what was written meanwhile."""
CLOUDFLARE_DEAF_AFTER_S = 5.0
"""Input that nothing follows for so long is reason to look whether the link is deaf: few programs that are typed to
say nothing for longer, and a look costs one connect."""
CLOUDFLARE_PONG_WITHIN_S = 5.0
"""How long a link that is looked at may take to answer a ping."""
CLOUDFLARE_REFUSED_WITHIN_S = 2.0
"""A shell that has exited closes its link within a round trip of the first input; older input was taken before."""
CLOUDFLARE_SLEEPS_WITHIN_S = 0.5
"""Between the first and the last socket that a sandbox closes as it falls asleep."""
CLOUDFLARE_QUIET_S = 0.1
"""A fresh shell that has written something and then nothing for so long is at its prompt."""
CLOUDFLARE_MESSAGE_CHARS = 200
"""Of a message from the sandbox, shown in the pane."""
CLOUDFLARE_SAVE_EVERY_S = 1.0
"""How often the end of a terminal's output is stored, while it writes: 256 KiB, in a millisecond or two."""

# --- Store -------------------------------------------------------------------------------------------------

SAVE_EVERY_S = 1.0
"""Changes that no request waits for are saved at most this often."""
CHECKPOINT_AFTER_BYTES = 512 * KIB
CHECKPOINT_EVERY_S = 1.0
BUSY_TIMEOUT_S = 5.0
"""How long SQLite waits for a lock before an operation fails."""

# --- HTTP --------------------------------------------------------------------------------------------------

SESSION_COOKIE_S = 30 * 24 * 3600
LOGINS = 256
"""Browsers that may be logged in at a time; the login that ends first makes room."""
REQUEST_HEAD_BYTES = 64 * KIB
REQUEST_HEADERS = 100
"""Of one request: three times what browsers and proxies send together."""
PIPELINED_REQUESTS = 16
"""That wait on one connection behind the one that is answered. Nobody pipelines; each takes memory before it is looked
at."""
STRANGERS = 256
"""Connections on which nobody was let in: with all panes and clients there is room for them in the usual 1024 file
descriptors, and a browser opens six."""
SOCKET_CLOSES_WITHIN_S = 15.0
"""From the end of a WebSocket's client until its connection is cut: longer than the ten seconds that its own closing
may take."""
LOGIN_ATTEMPTS = 10
LOGIN_ATTEMPTS_WITHIN_S = 60.0
"""Wrong tokens per peer address, before the next is refused without a look."""
IPV6_PEER_BITS = 64
"""Of an IPv6 address, that tell peers apart: the rest is each one's own to choose."""
LOGIN_PEERS = 1024
"""Peers whose wrong tokens are remembered; the one that was quiet longest is forgotten."""
SENT_REPORT_BYTES = 128 * KIB
"""The hub hears of bytes that a socket took at least this often: two full frames, an eighth of its window."""
KERNEL_UNSENT_BYTES = 256 * KIB
"""What the kernel keeps unsent for one socket. More would make urgent frames late, and the hub's count wrong."""
PING_EVERY_S = 20.0
PONG_WITHIN_S = 60.0
"""A pong waits behind what the socket already took: a slow client must not be taken for a dead one."""
ACCEPT_BACKLOG = 128
"""Connections that the kernel keeps until they are accepted."""
LOOP_LATE_S = 5.0
"""A server whose event loop was this late takes no new clients: the page would call its connection broken."""
FREE_DISK_BYTES = 1024 * MIB
"""Below it an operator is warned: a store of many panes with full checkpoints has a few hundred megabytes."""
OPEN_FILES = 1024
"""Of the server's process: 255 terminals with a link each, as many control links, 32 clients, and a margin."""
DRAIN_S = 5.0
"""How long a stopping server waits for its connections to take what they are owed."""

# --- The audit log -----------------------------------------------------------------------------------------

AUDIT_FILE_BYTES = 4 * MIB
"""Of one file: some thirty thousand lines, months of a busy server."""
AUDIT_FILES = 4
"""The one that is written and those before it; then the oldest goes."""
AUDIT_LINES_WAITING = 1000
"""Written within milliseconds; more is a disk that does not take them, and they are counted instead."""
AUDIT_FAILED_LOGINS = 10
AUDIT_FAILED_LOGINS_WITHIN_S = 60.0
"""Failed logins with a line of their own, of all peers together; the rest is counted in one line. Somebody who tries
without end writes 2 MiB in a day, and needs a week to push out what was there before."""
AUDIT_WRITTEN_WITHIN_S = 2.0
"""How long a stopping server waits for its last lines."""

# --- Relations ---------------------------------------------------------------------------------------------

assert OUTPUT_FRAME_BYTES < FRAME_BYTES
assert FLOW_ACK_BYTES <= FLOW_RESUME_BYTES
assert LOG_BYTES >= FLOW_WINDOW_BYTES + FLOW_RESUME_BYTES
assert FLOW_WINDOW_BYTES <= CONNECTION_UNSENT_BYTES
assert CHECKPOINT_LOG_BYTES <= LOG_BYTES
assert SCREEN_BACKLOG_BYTES + LINK_UNSENT_BYTES + 2 * LINK_FRAME_BYTES // 4 <= LOG_BYTES
assert SCREEN_TOLD_BYTES + OUTPUT_FRAME_BYTES < SCREEN_BACKLOG_BYTES // 2
assert SCREEN_CRASHES <= SCREEN_WORKERS_AT_ONCE < SCREEN_WORKERS_UNHEARD
assert 4 * SCREEN_FRAME_BYTES <= SCREEN_WORKER_SPARE_BYTES
assert REDRAW_BYTES <= DEEP_REDRAW_BYTES <= CONNECTION_UNSENT_BYTES // 2
assert INPUT_PANE_BYTES <= INPUT_CLIENT_BYTES
assert INPUT_PANE_BYTES < FRAME_BYTES
assert AGENT_LOG_BYTES <= LOG_BYTES
assert LINK_OUTPUT_BYTES <= OUTPUT_FRAME_BYTES
assert LINK_INPUT_BYTES >= INPUT_PANE_BYTES
assert AGENT_UNWRITTEN_BYTES >= INFLIGHT_PANE_BYTES + INPUT_PANE_BYTES
assert AGENT_CLIENTS_PER_PANE >= KNOWN_CLIENTS
assert LINK_UNSENT_BYTES + AGENT_DRAIN_BYTES <= AGENT_LOG_BYTES
assert CHECKPOINT_AFTER_BYTES + LINK_UNSENT_BYTES <= AGENT_UNSAVED_BYTES < AGENT_LOG_BYTES
assert STOP_GRACE_S + AGENT_FLUSH_S < STOP_WITHIN_S
assert BUSY_LOOK_AFTER_S <= BUSY_POLL_S
assert CLOUDFLARE_HELD_BYTES + CLOUDFLARE_KEPT_BYTES < CLOUDFLARE_FRAME_BYTES
assert LINK_INPUT_BYTES < CLOUDFLARE_FRAME_BYTES
assert QUIET_UPDATE_EVERY_S > UPDATE_EVERY_S
assert SENT_REPORT_BYTES <= FLOW_RESUME_BYTES
