/**
 * Bytes as characters, the way the server's emulator reads them. xterm.js's own decoder leaves out what is not UTF-8,
 * takes the C1 controls for sequences, and loses characters such as "—" where a frame ends within them.
 */

/** The emulator gives them no meaning; as raw bytes they are not UTF-8. */
const C1_CONTROLS = /[\u0080-\u009f]/g;

export class Decoder {
  readonly #utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

  /** Goes on within a character that the last piece has begun. */
  decode(data: Uint8Array): string {
    return this.#utf8.decode(data, { stream: true }).replace(C1_CONTROLS, "");
  }
}
