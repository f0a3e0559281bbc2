/** One pane: the slot that shows its terminal, and what lies over it. Renders only when this pane's own view changed. */

import { memo, useEffect, useLayoutEffect, useRef } from "react";
import type { PaneId } from "../core/api";
import { DiscardNotice } from "./DiscardNotice";
import { FindBar } from "./FindBar";
import { Overlay } from "./Overlay";
import { kindOf } from "./overlay-text";
import { PaneControls } from "./PaneControls";
import { usePage, usePaneFace } from "./page";
import { useNear } from "./use-near";

interface Props {
  id: PaneId;
  left: number;
  top: number;
  width: number;
  height: number;
  focused: boolean;
  /** The only pane of its tab. */
  alone: boolean;
  zoomed: boolean;
  finding: boolean;
}

export const Pane = memo(function Pane(props: Props) {
  const { id, left, top, width, height, focused, alone, zoomed, finding } = props;
  const { commands, registry } = usePage();
  const face = usePaneFace(id);
  const slot = useRef<HTMLDivElement>(null);
  const renders = useRef(0);
  renders.current += 1;

  useLayoutEffect(() => {
    if (slot.current === null) return;
    return registry.mount(id, slot.current);
  }, [registry, id]);

  // The keyboard may come by other ways than a click: a screen reader, the tab key of another element.
  useEffect(() => {
    const element = slot.current;
    if (element === null) return;
    const follow = () => {
      if (!registry.focusing) commands.focusPane(id);
    };
    element.addEventListener("focusin", follow);
    return () => element.removeEventListener("focusin", follow);
  }, [commands, registry, id]);

  const near = useNear();
  const kind = kindOf(face);
  const label = face.info?.title || face.info?.command || "Terminal";
  return (
    <section
      className="pane"
      aria-label={label}
      data-testid="pane"
      data-pane-id={id}
      data-status={face.info?.status ?? "unknown"}
      data-connected={face.connected ?? "unknown"}
      data-channel={face.channel ?? undefined}
      data-focused={focused}
      data-lost={kind !== null}
      data-renders={renders.current}
      style={{ left, top, width, height }}
      {...near}
    >
      <div
        className="slot"
        ref={slot}
        onPointerDown={() => {
          commands.focusPane(id);
          // After the browser's own answer to the click, which may take the keyboard away from the terminal.
          requestAnimationFrame(() => commands.focusTerminal());
        }}
      />
      <Overlay id={id} kind={kind} />
      {focused && !alone && <div className="focus-line" aria-hidden="true" />}
      <DiscardNotice id={id} discarded={face.discarded} />
      {finding ? <FindBar id={id} /> : <PaneControls id={id} alone={alone} zoomed={zoomed} />}
    </section>
  );
});
