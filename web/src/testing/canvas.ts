/** A canvas that can be asked and draws nothing, for a DOM that has none: enough to open a terminal. */

const context = {
  measureText: () => ({ width: 8, fontBoundingBoxAscent: 12, fontBoundingBoxDescent: 4 }),
  createLinearGradient: () => ({ addColorStop() {} }),
  getImageData: () => ({ data: new Uint8ClampedArray(4) }),
  clearRect() {},
  fillRect() {},
};

export function standInCanvas(): void {
  HTMLCanvasElement.prototype.getContext = ((kind: string) => (kind === "2d" ? context : null)) as never;
}
