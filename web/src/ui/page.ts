/** What every part of the page is given: the core, the terminals, the page's own state and what can be done. */

import {
  createContext,
  useCallback,
  useContext,
  useEffect,
  useReducer,
  useRef,
  useSyncExternalStore,
} from "react";
import type { Core, Model, PaneId, PaneView } from "../core/api";
import type { Registry } from "../terminal/registry";
import type { Commands } from "./commands";
import type { Waits } from "./favicon";
import type { PaneHistory } from "./history";
import type { Shortcuts } from "./shortcuts";
import type { View, ViewStore } from "./view";

export interface Clock {
  /** Milliseconds, monotonic. */
  now(): number;
  /** Milliseconds since 1970. */
  wallNow(): number;
}

export interface Page {
  readonly core: Core;
  readonly registry: Registry;
  readonly view: ViewStore;
  readonly commands: Commands;
  readonly history: PaneHistory;
  readonly shortcuts: Shortcuts;
  readonly clock: Clock;
  /** Address of the icon, which tells what waits. */
  readonly icon: (waits: Waits | null) => string;
}

export const PageContext = createContext<Page | null>(null);

export function usePage(): Page {
  const page = useContext(PageContext);
  if (page === null) throw new Error("This part of the page stands outside of it.");
  return page;
}

export function useModel(): Model {
  const { core } = usePage();
  return useSyncExternalStore(
    useCallback((listener) => core.subscribe(listener), [core]),
    useCallback(() => core.model(), [core]),
  );
}

/** Renders again only when this pane's view changed. */
export function usePane(id: PaneId): PaneView {
  const { core } = usePage();
  return useSyncExternalStore(
    useCallback((listener) => core.subscribePane(id, listener), [core, id]),
    useCallback(() => core.pane(id), [core, id]),
  );
}

/** A pane without the counts that change with every key. */
export type PaneFace = Pick<PaneView, "connected" | "info" | "channel" | "discarded">;

/** Renders again only when more than the keys on their way changed. */
export function usePaneFace(id: PaneId): PaneFace {
  const { core } = usePage();
  const last = useRef<PaneFace | null>(null);
  return useSyncExternalStore(
    useCallback((listener) => core.subscribePane(id, listener), [core, id]),
    useCallback(() => {
      const { connected, info, channel, discarded } = core.pane(id);
      const old = last.current;
      const same =
        old?.connected === connected &&
        old.info === info &&
        old.channel === channel &&
        old.discarded === discarded;
      if (old === null || !same) last.current = { connected, info, channel, discarded };
      return last.current as PaneFace;
    }, [core, id]),
  );
}

export function useView(): View {
  const { view } = usePage();
  return useSyncExternalStore(view.subscribe, view.get);
}

/** Renders again every `everyMs` while it is a number. */
export function useTick(everyMs: number | null): void {
  const [, tick] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    if (everyMs === null) return;
    const timer = window.setInterval(tick, everyMs);
    return () => window.clearInterval(timer);
  }, [everyMs]);
}
