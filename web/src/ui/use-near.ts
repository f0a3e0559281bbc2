/** Whether the pointer moves in a pane, as `data-near` on its element: its controls show then, and go for who types. */

import { type SyntheticEvent, useEffect, useMemo, useRef } from "react";

/** A pointer at rest is reading. */
const REST_MS = 2_000;

/** Handlers for the pane's element. It is changed directly: the pointer's moves render nothing. */
export function useNear() {
  const timer = useRef<number | undefined>(undefined);
  useEffect(() => () => window.clearTimeout(timer.current), []);
  return useMemo(() => {
    const far = (element: HTMLElement) => {
      window.clearTimeout(timer.current);
      if (element.dataset.near === "true") element.dataset.near = "false";
    };
    return {
      onPointerMove(event: SyntheticEvent<HTMLElement>) {
        const element = event.currentTarget;
        window.clearTimeout(timer.current);
        if (element.dataset.near !== "true") element.dataset.near = "true";
        const overControls =
          event.target instanceof Element && event.target.closest(".pane-controls") !== null;
        if (!overControls) timer.current = window.setTimeout(() => far(element), REST_MS);
      },
      onPointerLeave: (event: SyntheticEvent<HTMLElement>) => far(event.currentTarget),
      onKeyDown: (event: SyntheticEvent<HTMLElement>) => far(event.currentTarget),
    };
  }, []);
}
