/** Whether something is alive: a shape and a colour, with the word for those who see neither. */

import type { PaneStatus, SessionStatus } from "../protocol/wire";

export type Mark = "alive" | "waking" | "asleep" | "failed";

export const SESSION_MARKS: Record<SessionStatus, { mark: Mark; word: string }> = {
  starting: { mark: "waking", word: "Starting" },
  awake: { mark: "alive", word: "Awake" },
  asleep: { mark: "asleep", word: "Asleep" },
  waking: { mark: "waking", word: "Waking" },
  failed: { mark: "failed", word: "Failed" },
};

export const PANE_MARKS: Record<PaneStatus, Mark> = {
  starting: "waking",
  connected: "alive",
  asleep: "asleep",
  waking: "waking",
  disconnected: "waking",
  failed: "failed",
  exited: "failed",
};

function Shape({ mark }: { mark: Mark }) {
  switch (mark) {
    case "alive":
      return <circle cx="6" cy="6" r="3.6" fill="currentColor" />;
    case "waking":
      return (
        <>
          <circle
            className="mark-track"
            cx="6"
            cy="6"
            r="4"
            fill="none"
            stroke="currentColor"
            strokeWidth="1.6"
          />
          <path
            d="M6 2a4 4 0 014 4"
            fill="none"
            stroke="currentColor"
            strokeWidth="1.6"
            strokeLinecap="round"
          />
        </>
      );
    case "asleep":
      return <path d="M10.4 7.4A4.6 4.6 0 014.6 1.6a4.6 4.6 0 105.8 5.8z" fill="currentColor" />;
    case "failed":
      return (
        <path
          d="M3 3l6 6M9 3l-6 6"
          fill="none"
          stroke="currentColor"
          strokeWidth="1.8"
          strokeLinecap="round"
        />
      );
  }
}

export function StatusMark({ mark, label }: { mark: Mark; label?: string }) {
  const named = label === undefined ? { "aria-hidden": true } : { role: "img", "aria-label": label };
  return (
    // biome-ignore lint/a11y/noSvgWithoutTitle: a title would show as a tooltip; it has a label, or is hidden.
    <svg
      className="mark"
      data-mark={mark}
      viewBox="0 0 12 12"
      width="12"
      height="12"
      focusable="false"
      {...named}
    >
      <Shape mark={mark} />
    </svg>
  );
}
