/** Puts the parts of a page together around a core. */

import type { Core } from "../core/api";
import { Registry } from "../terminal/registry";
import type { TerminalTheme } from "../terminal/theme";
import { ClosedInput } from "./closed-input";
import { Commands } from "./commands";
import { faviconFor } from "./favicon";
import { PaneHistory } from "./history";
import type { Clock, Page } from "./page";
import { platformOf, Shortcuts } from "./shortcuts";
import { ViewStore } from "./view";

export interface Surroundings {
  readonly core: Core;
  readonly clock: Clock;
  readonly theme: TerminalTheme;
  /** The value of a custom property of the style sheet. */
  readonly token: (name: string) => string;
  readonly platform: string;
}

export function composePage({ core, clock, theme, token, platform }: Surroundings): Page {
  const registry = new Registry(core, theme);
  const view = new ViewStore();
  new ClosedInput(core, view);
  return {
    core,
    registry,
    view,
    commands: new Commands(core, registry, view),
    history: new PaneHistory(core, clock),
    shortcuts: new Shortcuts(platformOf(platform)),
    clock,
    icon: (waits) => faviconFor(waits, token),
  };
}
