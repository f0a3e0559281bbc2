/** What a session is doing, in a few words: its state when it is not awake, what keeps it awake, or when it will sleep. */

import type { SessionInfo } from "../protocol/wire";
import { useModel, usePage, useTick } from "./page";
import { SESSION_MARKS } from "./StatusMark";

export function SessionBusy({ session, className }: { session: SessionInfo; className: string }) {
  const { clock } = usePage();
  const { clockOffset } = useModel();
  const { status, busy, sleepsAt, frozen } = session;
  const sleepy = status === "awake" && busy === undefined && sleepsAt !== undefined;
  useTick(sleepy ? 1000 : null);
  let text = busy ?? "";
  if (status === "asleep" && frozen === true) text = "frozen";
  else if (status !== "awake") text = SESSION_MARKS[status].word;
  else if (sleepy) {
    const seconds = Math.max(0, Math.ceil((sleepsAt - clock.wallNow() - clockOffset) / 1000));
    text = `sleeps in ${seconds} s`;
  }
  return text === "" ? null : (
    <span className={className} data-testid="session-busy" title={text}>
      {text}
    </span>
  );
}
