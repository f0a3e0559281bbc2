/** Which of a terminal's input sequences are reports about the pointer or the focus rather than something typed. */

const ONE = String.raw`\x1b\[(?:[IO]|M[\s\S]{3}|<\d+;\d+;\d+[Mm]|\d+;\d+;\d+M)`;
const REPORT = new RegExp(`^${ONE}$`);
const REPORTS = new RegExp(`^(?:${ONE})+$`);

/** True for one whole mouse report (X10, SGR, urxvt) or focus report; what is pasted around one is not a report. */
export function isReport(data: string): boolean {
  return REPORT.test(data);
}

/** True for reports and nothing else: nobody typed them, and nobody misses them. */
export function areReports(data: Uint8Array): boolean {
  if (data[0] !== 0x1b) return false;
  return REPORTS.test(Array.from(data, (byte) => String.fromCharCode(byte)).join(""));
}
