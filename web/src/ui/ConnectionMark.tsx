/** The page's own connection: a dot while all is well, a word only when something is wrong. */

import type { ConnectionView } from "../core/api";
import { useModel } from "./page";
import { type Mark, StatusMark } from "./StatusMark";

interface Shown {
  mark: Mark;
  word: string | null;
  title: string;
}

function shown(connection: ConnectionView): Shown {
  switch (connection.status) {
    case "connected": {
      const trip = connection.roundTripMs;
      const title = trip === null ? "Connected" : `Connected, ${Math.round(trip)} ms round trip`;
      return { mark: "alive", word: null, title };
    }
    case "connecting":
      return { mark: "waking", word: "Connecting", title: "Connecting to the server" };
    case "waiting":
      return { mark: "failed", word: "Cut off", title: "No connection to the server" };
    case "unauthorized":
      return { mark: "failed", word: "Not allowed in", title: "The server did not accept the token" };
  }
}

export function ConnectionMark() {
  const { connection } = useModel();
  const { mark, word, title } = shown(connection);
  return (
    <div className="connection" data-testid="connection" data-status={connection.status} title={title}>
      {word !== null && <span className="connection-word">{word}</span>}
      <StatusMark mark={mark} label={title} />
    </div>
  );
}
