/** Which of a terminal's input sequences are reports about the pointer or the focus rather than something typed. */

// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with a control character.
const REPORT = /^\x1b\[(?:[IO]|M[\s\S]{3}|<\d+;\d+;\d+[Mm]|\d+;\d+;\d+M)$/;

/** True for one whole mouse report (X10, SGR, urxvt) or focus report; what is pasted around one is not a report. */
export function isReport(data: string): boolean {
  return REPORT.test(data);
}
