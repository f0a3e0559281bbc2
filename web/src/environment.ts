/** The browser as the core needs it: a socket beside the page, clocks, timers, and a memory that ends with the tab. */

import type { Environment, Socket, SocketEvents } from "./core/api";

const CLIENT_ID_KEY = "wormux.client";
const ABNORMAL = 1006;

/** `ws` beside the page, whatever path prefix a proxy put before both. */
export function socketAddress(page: string): string {
  const address = new URL("ws", page);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  address.search = "";
  address.hash = "";
  return address.href;
}

function connect(events: SocketEvents): Socket {
  const socket = new WebSocket(socketAddress(document.baseURI));
  socket.binaryType = "arraybuffer";
  socket.onopen = () => events.opened();
  socket.onmessage = ({ data }) => {
    // The protocol has binary messages only.
    if (data instanceof ArrayBuffer) events.message(new Uint8Array(data));
  };
  socket.onclose = ({ code }) => events.closed(code || ABNORMAL);
  return {
    send(frame) {
      if (socket.readyState === WebSocket.OPEN) socket.send(frame as Uint8Array<ArrayBuffer>);
    },
    close() {
      socket.close();
    },
  };
}

/** Where the browser refuses storage, a reload is another client: unsent input is shown as lost, nothing else. */
function remembered(): string | null {
  try {
    return sessionStorage.getItem(CLIENT_ID_KEY);
  } catch {
    return null;
  }
}

function remember(id: string): void {
  try {
    sessionStorage.setItem(CLIENT_ID_KEY, id);
  } catch {
    // See above.
  }
}

function newClientId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function browserEnvironment(): Environment {
  return {
    connect,
    now: () => performance.now(),
    wallNow: () => Date.now(),
    setTimer(callback, ms) {
      const timer = setTimeout(callback, ms);
      return () => clearTimeout(timer);
    },
    random: () => Math.random(),
    newClientId,
    loadClientId: remembered,
    storeClientId: remember,
  };
}

/** `back` runs whenever the network or the person may have come back: what was given up or trusted is looked at anew. */
export function watchReturn(back: () => void): void {
  window.addEventListener("online", back);
  // A page from the browser's cache, and one that was frozen.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) back();
  });
  document.addEventListener("resume", back);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") back();
  });
}
