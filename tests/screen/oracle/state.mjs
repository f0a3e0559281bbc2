/** All of a terminal beside its cells, as a flat object of plain values: what differs is named by its key. */

const CHARSETS = { "`": "graphics", "#": "british" };

/** xterm.js knows a character set by its table; two are in use, the rest is ASCII. */
function charset(table) {
  if (!table) return "ascii";
  for (const [key, name] of Object.entries(CHARSETS)) if (key in table) return name;
  return "other";
}

/** One palette of 256: that a colour was given by its short or long form is not to be seen. */
export function color(value) {
  const mode = value & 0x3000000;
  if (mode === 0) return "default";
  return mode === 0x3000000 ? `#${(value & 0xffffff).toString(16)}` : `${value & 0xff}`;
}

export function pen(core, attributes) {
  const { fg, bg } = attributes;
  const flags = `${(fg >>> 26).toString(16)}/${((bg >>> 26) & 0b100111).toString(16)}`;
  const extended = bg & 0x10000000 ? attributes.extended : null;
  const underline =
    fg & 0x10000000 && extended ? `${extended.underlineStyle}:${color(extended.underlineColor)}` : "";
  return `${color(fg)} on ${color(bg)} ${flags} ${underline} ${link(core, extended?.urlId ?? 0)}`;
}

export function link(core, id) {
  return id === 0 ? "" : (core._oscLinkService.getLinkData(id)?.uri ?? "");
}

function ofBuffer(core, name, buffer, cols) {
  const tabs = Object.keys(buffer.tabs).filter((column) => buffer.tabs[column] && Number(column) < cols);
  return {
    [`${name} cursor`]: `${buffer.x},${buffer.y}`,
    [`${name} region`]: `${buffer.scrollTop}-${buffer.scrollBottom}`,
    [`${name} saved cursor`]: `${buffer.savedX},${Math.max(0, buffer.savedY - buffer.ybase)}`,
    [`${name} saved pen`]: pen(core, buffer.savedCurAttrData),
    [`${name} saved charset`]: charset(buffer.savedCharset),
    [`${name} tabs`]: tabs.join(),
  };
}

export function state(shown) {
  const { terminal, core } = shown;
  const handler = core._inputHandler;
  const { decPrivateModes } = core.coreService;
  return {
    threw: shown.threw,
    size: `${terminal.cols}x${terminal.rows}`,
    buffer: terminal.buffer.active.type,
    ...ofBuffer(core, "normal", core.buffers.normal, terminal.cols),
    ...(terminal.buffer.active.type === "alternate"
      ? ofBuffer(core, "alternate", core.buffers.alt, terminal.cols)
      : {}),
    scrollback: core.buffers.normal.ybase,
    ...Object.fromEntries(Object.entries(terminal.modes).map(([name, value]) => [`mode ${name}`, value])),
    "mouse encoding": core.coreMouseService.activeEncoding,
    "newline mode": terminal.options.convertEol,
    "cursor hidden": core.coreService.isCursorHidden,
    "cursor shape": decPrivateModes.cursorStyle ?? terminal.options.cursorStyle,
    "cursor blinks": decPrivateModes.cursorBlink ?? terminal.options.cursorBlink,
    pen: pen(core, handler._curAttrData),
    charsets: `${core._charsetService.glevel} ${[0, 1, 2, 3].map((g) => charset(core._charsetService._charsets[g])).join()}`,
    title: shown.title,
    colors: [...shown.colors].sort(([a], [b]) => a - b).join(" "),
  };
}
