/** Renders the whole page around a fake core. */

import { render } from "@testing-library/react";
import { App } from "../ui/App";
import { composePage } from "../ui/compose";
import { PageContext } from "../ui/page";
import { standInCanvas } from "./canvas";
import type { FakeCore } from "./fake-core";

export function renderPage(core: FakeCore) {
  standInCanvas();
  const page = composePage({
    core,
    clock: { now: () => performance.now(), wallNow: () => Date.now() },
    theme: { palette: {}, colors: null, fontFamily: "monospace" },
    token: () => "",
    platform: "Linux",
  });
  const rendered = render(
    <PageContext value={page}>
      <App />
    </PageContext>,
  );
  const pane = (id: string): HTMLElement => {
    const element = document.querySelector<HTMLElement>(`[data-pane-id="${id}"]`);
    if (element === null) throw new Error(`The pane ${id} is not shown.`);
    return element;
  };
  return { ...rendered, page, pane };
}
