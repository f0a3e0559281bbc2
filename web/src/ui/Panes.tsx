/** The panes of the tab that is shown, where the server's layout has them, and the lines between them. */

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import type { TabInfo } from "../protocol/wire";
import { Divider } from "./Divider";
import { arrange, type Rect, withRatios } from "./geometry";
import { Pane } from "./Pane";
import { usePage, useView } from "./page";
import { focusedPane, zoomedPane } from "./selection";
import { Throttle } from "./throttle";

/** Between two `layout_resize` while a line is dragged. */
const SEND_EVERY_MS = 100;

interface Moved {
  readonly path: readonly number[];
  readonly ratios: readonly number[];
}

export function Panes({ tab }: { tab: TabInfo }) {
  const { commands } = usePage();
  const view = useView();
  const box = useRef<HTMLDivElement>(null);
  const area = useArea(box);
  const { moved, move, end } = useDrag(tab);

  const zoomed = zoomedPane(tab, view);
  const focused = focusedPane(tab, view);
  const layout = moved === null ? tab.layout : withRatios(tab.layout, moved.path, moved.ratios);
  const arrangement = useMemo(
    () => arrange(zoomed === null ? layout : { type: "pane", paneId: zoomed }, area),
    [layout, zoomed, area],
  );
  useEffect(() => {
    commands.area = area;
  }, [commands, area]);
  useFocus(tab, focused);

  const alone = tab.layout.type === "pane";
  return (
    <main className="panes" ref={box} data-tab-id={tab.id} aria-label={tab.name}>
      {[...arrangement.panes].map(([id, rect]) => (
        <Pane
          key={id}
          id={id}
          left={rect.left}
          top={rect.top}
          width={rect.width}
          height={rect.height}
          focused={id === focused && zoomed === null}
          alone={alone}
          zoomed={id === zoomed}
          finding={id === view.finding}
        />
      ))}
      {arrangement.dividers.map((divider) => (
        <Divider
          key={[...divider.path, divider.index].join(".")}
          place={divider}
          onMove={(ratios) => move({ path: divider.path, ratios })}
          onEnd={(ratios) => end({ path: divider.path, ratios })}
        />
      ))}
    </main>
  );
}

function useArea(box: { readonly current: HTMLElement | null }): Rect {
  const [area, setArea] = useState<Rect>(() => ({
    left: 0,
    top: 0,
    width: window.innerWidth,
    height: window.innerHeight,
  }));
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const measure = () => {
      const { clientWidth: width, clientHeight: height } = element;
      if (width === 0 || height === 0) return;
      setArea((old) =>
        old.width === width && old.height === height ? old : { left: 0, top: 0, width, height },
      );
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, [box]);
  return area;
}

/** The shares that a drag has now, shown at once and sent at a pace, until the server's layout has them. */
function useDrag(tab: TabInfo) {
  const { commands } = usePage();
  const [moved, setMoved] = useState<Moved | null>(null);
  const send = useMemo(
    () =>
      new Throttle<Moved>(SEND_EVERY_MS, ({ path, ratios }) => commands.resizeSplit(tab.id, path, ratios)),
    [commands, tab.id],
  );
  useEffect(() => () => send.stop(), [send]);
  // Another tab is another layout.
  useEffect(() => {
    if (tab.id !== "") setMoved(null);
  }, [tab.id]);
  return {
    moved,
    move: (next: Moved) => {
      setMoved(next);
      send.call(next);
    },
    end: (last: Moved) => {
      setMoved(last);
      void send.last(last).finally(() => setMoved((now) => (now === last ? null : now)));
    },
  };
}

/** Follows the focus that the server says, unless the person is at something else than a terminal. */
function useFocus(tab: TabInfo, paneId: string): void {
  const { registry } = usePage();
  const view = useView();
  const busy = view.dialog !== null || view.renamingTab !== null || view.finding !== null;
  useEffect(() => {
    if (busy || tab.id === "" || elsewhere()) return;
    registry.focus(paneId);
  }, [registry, busy, tab.id, paneId]);
}

function elsewhere(): boolean {
  const active = document.activeElement;
  if (active === null || active.closest(".pane") !== null) return false;
  return (
    active.matches("input, textarea, select, [contenteditable]") || active.closest("[role=dialog]") !== null
  );
}
