/** Every state of the page without a server, for looking at: `npx vite`, then /gallery.html?scene=NAME. Never built. */

import { createRoot } from "react-dom/client";
import "@xterm/xterm/css/xterm.css";
import "../styles/page.css";
import { currentTheme } from "../terminal/theme";
import { App } from "../ui/App";
import { composePage } from "../ui/compose";
import { PageContext } from "../ui/page";
import { FakeCore } from "./fake-core";
import { SCENES } from "./scenes";

const core = new FakeCore();
const clock = { now: () => performance.now(), wallNow: () => Date.now() };
const page = composePage({
  core,
  clock,
  theme: currentTheme(),
  token: (name) => getComputedStyle(document.documentElement).getPropertyValue(name),
  platform: navigator.platform,
});

const name = new URLSearchParams(location.search).get("scene") ?? "";
const scene = SCENES[name];
const root = document.getElementById("root");
if (scene === undefined) {
  document.body.textContent = `Scenes: ${Object.keys(SCENES).join(", ")}`;
} else if (root !== null) {
  // What is wished is in force at once, as with a server that has one client.
  core.wishSize = (id, cols, rows) => core.sinks.get(id)?.resize(cols, rows);
  core.answer = () => new Promise(() => {});
  const print = scene(core, page);
  createRoot(root).render(
    <PageContext value={page}>
      <App />
    </PageContext>,
  );
  setTimeout(() => {
    for (const [id, text] of Object.entries(print)) core.print(id, text);
  }, 300);
}
