/** The line between two panes: one pixel to see, eight to grab. It says where it was dragged to; it moves nothing. */

import { type KeyboardEvent, type PointerEvent, useRef } from "react";
import { moveDivider, type Divider as Place } from "./geometry";

interface Props {
  place: Place;
  onMove: (ratios: readonly number[]) => void;
  /** The pointer let go, or a key moved the line: the last shares of this move. */
  onEnd: (ratios: readonly number[]) => void;
}

const KEY_STEP_PX = 24;

export function Divider({ place, onMove, onEnd }: Props) {
  const across = place.orientation === "horizontal";
  const drag = useRef<{ at: number; ratios: readonly number[]; last: readonly number[] } | null>(null);
  const position = (event: PointerEvent) => (across ? event.clientX : event.clientY);

  const begin = (event: PointerEvent<HTMLDivElement>) => {
    if (event.button !== 0) return;
    // Keeps the keyboard in the terminal.
    event.preventDefault();
    event.currentTarget.setPointerCapture?.(event.pointerId);
    drag.current = { at: position(event), ratios: place.ratios, last: place.ratios };
  };
  const move = (event: PointerEvent<HTMLDivElement>) => {
    const { current } = drag;
    if (current === null) return;
    current.last = moveDivider(current.ratios, place.index, position(event) - current.at, place.spacePx);
    onMove(current.last);
  };
  const end = () => {
    const { current } = drag;
    drag.current = null;
    if (current !== null && current.last !== current.ratios) onEnd(current.last);
  };
  const even = () => {
    const both = (place.ratios[place.index] ?? 0) + (place.ratios[place.index + 1] ?? 0);
    onEnd(place.ratios.map((ratio, at) => (at === place.index || at === place.index + 1 ? both / 2 : ratio)));
  };
  const press = (event: KeyboardEvent<HTMLDivElement>) => {
    const [back, on] = across ? ["ArrowLeft", "ArrowRight"] : ["ArrowUp", "ArrowDown"];
    if (event.key !== back && event.key !== on) return;
    event.preventDefault();
    const delta = event.key === on ? KEY_STEP_PX : -KEY_STEP_PX;
    onEnd(moveDivider(place.ratios, place.index, delta, place.spacePx));
  };

  const { left, top, width, height } = place.rect;
  return (
    // biome-ignore lint/a11y/useSemanticElements: a rule between paragraphs is not something to drag.
    <div
      className="divider"
      data-orientation={place.orientation}
      data-testid="divider"
      role="separator"
      aria-label="Divider between panes"
      aria-orientation={across ? "vertical" : "horizontal"}
      aria-valuenow={Math.round((place.ratios[place.index] ?? 0) * 100)}
      tabIndex={0}
      title="Drag to resize, double-click to even out"
      style={{ left, top, width, height }}
      onPointerDown={begin}
      onPointerMove={move}
      onPointerUp={end}
      onPointerCancel={end}
      onDoubleClick={even}
      onKeyDown={press}
    />
  );
}
