/**
 * Keeps an error that xterm.js throws while it reads bytes inside its own terminal. Unguarded, such an error stops the
 * terminal's queue for good (xterm.js 6.0.0 throws for `ESC[24;80H ESC[1J` in an unscrolled 80×24 buffer).
 */

import type { Terminal } from "@xterm/xterm";

/** CAN leaves any sequence, RIS resets. Written in its place among the bytes, it resets exactly there. */
export function resetBytes(): Uint8Array {
  return Uint8Array.of(0x18, 0x1b, 0x63);
}

type Handler = (...given: never[]) => unknown;

interface Parser {
  readonly _executeHandlers?: Record<string, Handler>;
  readonly _csiHandlers?: Record<string, Handler[]>;
  readonly _escHandlers?: Record<string, Handler[]>;
}

interface Reader {
  parse(data: string | Uint8Array, promiseResult?: boolean): Promise<boolean> | undefined;
  readonly _parser?: Parser;
}

/**
 * An error of one sequence costs that sequence: what follows it is drawn. An error between sequences loses the place in
 * the bytes; then they are passed over until one of `resets` is written, so that nothing is drawn onto a half changed
 * grid. Callbacks of writes run in any case: nobody waits for bytes that are not drawn.
 */
export function guardReading(
  terminal: Terminal,
  resets: WeakSet<Uint8Array>,
  failed: (error: unknown) => void,
): void {
  // xterm.js offers no place of its own where these errors arrive; a test holds that this one exists.
  const reader = (terminal as unknown as { _core?: { _inputHandler?: Reader } })._core?._inputHandler;
  if (typeof reader?.parse !== "function") return;
  guardSequences(reader._parser ?? {}, failed);
  const parse = reader.parse.bind(reader);
  let lost = false;
  reader.parse = (data, promiseResult) => {
    if (typeof data !== "string" && resets.has(data)) lost = false;
    if (lost) return undefined;
    try {
      return parse(data, promiseResult);
    } catch (error) {
      lost = true;
      failed(error);
      return undefined;
    }
  };
}

function guardSequences(parser: Parser, failed: (error: unknown) => void): void {
  const guarded =
    (handler: Handler): Handler =>
    (...given) => {
      try {
        return handler(...given);
      } catch (error) {
        failed(error);
        return true;
      }
    };
  const { _executeHandlers: controls = {}, _csiHandlers: csi = {}, _escHandlers: esc = {} } = parser;
  for (const [code, handler] of Object.entries(controls)) controls[code] = guarded(handler);
  for (const handlers of [...Object.values(csi), ...Object.values(esc)]) {
    handlers.forEach((handler, index) => {
      handlers[index] = guarded(handler);
    });
  }
}
