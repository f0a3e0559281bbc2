/**
 * Draws visible terminals with WebGL where it works. Browsers allow about sixteen contexts for a page and take the
 * oldest away beyond that, so terminals past the bound, and those that lost theirs, are drawn by the DOM. A hidden
 * terminal keeps its context until another needs it: switching tabs back and forth builds nothing.
 */

import { WebglAddon } from "@xterm/addon-webgl";
import type { Terminal } from "@xterm/xterm";

const CONTEXTS = 12;

export class Renderers {
  readonly #addons = new Map<Terminal, WebglAddon>();
  /** Those that keep a context while hidden, the longest hidden first. */
  readonly #hidden = new Set<Terminal>();
  readonly #lost: (terminal: Terminal) => void;
  #usable = isAccelerated();

  /** `lost`: the DOM draws this terminal from now on, with cells that may be of another size. */
  constructor(lost: (terminal: Terminal) => void) {
    this.#lost = lost;
  }

  show(terminal: Terminal): void {
    this.#hidden.delete(terminal);
    if (!this.#usable || this.#addons.has(terminal)) return;
    if (this.#addons.size >= CONTEXTS) {
      const [longest] = this.#hidden;
      if (longest === undefined) return;
      this.end(longest);
    }
    try {
      const addon = new WebglAddon();
      addon.onContextLoss(() => {
        this.end(terminal);
        this.#lost(terminal);
      });
      terminal.loadAddon(addon);
      this.#addons.set(terminal, addon);
    } catch {
      this.#usable = false;
    }
  }

  hide(terminal: Terminal): void {
    if (this.#addons.has(terminal)) this.#hidden.add(terminal);
  }

  /** Gives the context back; what is still shown is drawn by the DOM. */
  end(terminal: Terminal): void {
    this.#hidden.delete(terminal);
    const addon = this.#addons.get(terminal);
    if (addon === undefined) return;
    this.#addons.delete(terminal);
    try {
      addon.dispose();
    } catch {
      // A lost context may refuse to be tidied; the DOM draws from now on all the same.
    }
  }
}

const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;

/** Without a graphics card behind it WebGL is several times slower than the DOM, and takes the processor from all else. */
function isAccelerated(): boolean {
  try {
    const canvas = document.createElement("canvas");
    const context = canvas.getContext("webgl2", { failIfMajorPerformanceCaveat: true });
    if (context === null) return false;
    const name =
      context.getExtension("WEBGL_debug_renderer_info")?.UNMASKED_RENDERER_WEBGL ?? context.RENDERER;
    const isSoftware = SOFTWARE.test(String(context.getParameter(name)));
    context.getExtension("WEBGL_lose_context")?.loseContext();
    return !isSoftware;
  } catch {
    return false;
  }
}
