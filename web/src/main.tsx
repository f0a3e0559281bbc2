/** The page's beginning: the core with the browser around it, and the chrome drawn into the document. */

import { createRoot } from "react-dom/client";
import { createCore } from "./core/core";
import { browserEnvironment, watchReturn } from "./environment";
import "@xterm/xterm/css/xterm.css";
import "./styles/page.css";
import { currentTheme } from "./terminal/theme";
import { App } from "./ui/App";
import { composePage } from "./ui/compose";
import { PageContext } from "./ui/page";

const environment = browserEnvironment();
const core = createCore(environment);
const page = composePage({
  core,
  clock: environment,
  theme: currentTheme(),
  token: (name) => getComputedStyle(document.documentElement).getPropertyValue(name),
  platform: navigator.platform,
});

const size = () => ({ width: window.innerWidth, height: window.innerHeight });
core.start(size(), currentTheme().colors);

function updateClient(): void {
  const { colors } = currentTheme();
  // Cut off, the next connect says the same.
  core.request({ type: "client_update", ...size(), ...(colors && { colors }) }).catch(() => {});
}

let resizeTimer: number | undefined;
window.addEventListener("resize", () => {
  window.clearTimeout(resizeTimer);
  resizeTimer = window.setTimeout(updateClient, 500);
});
window.matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => {
  page.registry.setTheme(currentTheme());
  updateClient();
});
watchReturn(() => core.tryNow());

const root = document.getElementById("root");
if (root === null) throw new Error("The page has no place for the app.");
createRoot(root).render(
  <PageContext value={page}>
    <App />
  </PageContext>,
);
