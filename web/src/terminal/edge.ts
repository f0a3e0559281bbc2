/**
 * Erasing behind a full row's last cell, as xterm and the server's emulator do it: the cell itself is erased, and the
 * wrap that was due is taken back. xterm.js 6.0.0 erases nothing there, and wraps.
 */

/** A terminal of xterm.js, in the browser or without one. */
export interface EdgedTerminal {
  readonly cols: number;
  readonly parser: {
    registerCsiHandler(id: { final: string }, handler: (params: (number | number[])[]) => boolean): unknown;
  };
}

/** xterm.js offers no place of its own for this; a test holds that it exists. */
interface Core {
  readonly _core?: { readonly buffer?: { x: number } };
}

const SCROLLBACK_ONLY = 3;

export function eraseAtEdge(terminal: EdgedTerminal): void {
  for (const final of ["J", "K"]) {
    terminal.parser.registerCsiHandler({ final }, ([what]) => {
      const buffer = (terminal as Core)._core?.buffer;
      if (buffer?.x === terminal.cols && !(final === "J" && what === SCROLLBACK_ONLY)) buffer.x -= 1;
      return false; // xterm.js erases
    });
  }
}
