/**
 * Keeps an error that xterm.js throws while it reads bytes inside its own terminal. Unguarded, such an error stops the
 * terminal's queue for good (xterm.js 6.0.0 throws for `ESC[24;80H ESC[1J` in an unscrolled 80×24 buffer).
 */

import type { Terminal } from "@xterm/xterm";

/** CAN leaves any sequence, RIS resets. Written in its place among the bytes, it resets exactly there. */
export function resetBytes(): Uint8Array {
  return Uint8Array.of(0x18, 0x1b, 0x63);
}

interface Reader {
  parse(data: string | Uint8Array, promiseResult?: boolean): Promise<boolean> | undefined;
}

/**
 * After an error all bytes are passed over until one of `resets` is written, so that nothing is drawn onto a half
 * changed grid. Callbacks of writes still run: nobody waits for bytes that are not drawn.
 */
export function guardReading(terminal: Terminal, resets: WeakSet<Uint8Array>, failed: () => void): void {
  // xterm.js offers no place of its own where these errors arrive; a test holds that this one exists.
  const reader = (terminal as unknown as { _core?: { _inputHandler?: Reader } })._core?._inputHandler;
  if (typeof reader?.parse !== "function") return;
  const parse = reader.parse.bind(reader);
  let broken = false;
  reader.parse = (data, promiseResult) => {
    if (typeof data !== "string" && resets.has(data)) broken = false;
    if (broken) return undefined;
    try {
      return parse(data, promiseResult);
    } catch (error) {
      broken = true;
      console.warn("The terminal could not show a sequence and is drawn again.", error);
      failed();
      return undefined;
    }
  };
}
