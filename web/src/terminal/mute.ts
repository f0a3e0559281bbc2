/**
 * Keeps a terminal from answering what programs ask of it. The server's emulator answers each question once; an answer
 * from here as well would be typed into the shell. What a person types and the pointer's and focus's reports pass.
 */

import type { Terminal } from "@xterm/xterm";

/** Window operations that ask for something (sizes, position, title, icon state). */
const WINDOW_REPORTS = new Set([11, 13, 14, 15, 16, 18, 19, 20, 21]);

const swallow = () => true;

export interface Mute {
  /** True while the terminal is answering something that could not be taken out whole: its data is to be dropped. */
  readonly active: boolean;
  dispose(): void;
}

export function muteAnswers(terminal: Terminal): Mute {
  const { parser } = terminal;
  let answering = false;
  // Answers are sent while the bytes are read, so the end of this task is certainly past the answer, and nothing that
  // a person does comes in between.
  const dropUntilRead = () => {
    answering = true;
    queueMicrotask(() => {
      answering = false;
    });
    return false;
  };
  const colour = (data: string) => {
    const parts = data.split(";");
    if (!parts.includes("?")) return false;
    return parts.every((part) => part === "?" || /^\d+$/.test(part)) ? true : dropUntilRead();
  };
  const handlers = [
    // Device attributes: primary, secondary, tertiary; XTVERSION.
    parser.registerCsiHandler({ final: "c" }, swallow),
    parser.registerCsiHandler({ prefix: ">", final: "c" }, swallow),
    parser.registerCsiHandler({ prefix: "=", final: "c" }, swallow),
    parser.registerCsiHandler({ prefix: ">", final: "q" }, swallow),
    parser.registerEscHandler({ final: "Z" }, swallow),
    // Device status and cursor position; DECREQTPARM; DECRQM; keyboard flags.
    parser.registerCsiHandler({ final: "n" }, swallow),
    parser.registerCsiHandler({ prefix: "?", final: "n" }, swallow),
    parser.registerCsiHandler({ final: "x" }, swallow),
    parser.registerCsiHandler({ intermediates: "$", final: "p" }, swallow),
    parser.registerCsiHandler({ prefix: "?", intermediates: "$", final: "p" }, swallow),
    parser.registerCsiHandler({ prefix: "?", final: "u" }, swallow),
    parser.registerCsiHandler({ final: "t" }, (params) => WINDOW_REPORTS.has(Number(params[0]))),
    // A focus report at once where reports are switched on: by a redraw, not by anybody's focus.
    parser.registerCsiHandler({ prefix: "?", final: "h" }, (params) =>
      params.flat().includes(1004) ? dropUntilRead() : false,
    ),
    // Colours.
    ...[4, 5, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19].map((code) => parser.registerOscHandler(code, colour)),
    // Reading the clipboard; it is not written either.
    parser.registerOscHandler(52, swallow),
    // DECRQSS and XTGETTCAP.
    parser.registerDcsHandler({ intermediates: "$", final: "q" }, swallow),
    parser.registerDcsHandler({ intermediates: "+", final: "q" }, swallow),
  ];
  return {
    get active() {
      return answering;
    },
    dispose() {
      for (const handler of handlers) handler.dispose();
    },
  };
}
