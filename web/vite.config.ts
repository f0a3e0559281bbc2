/** How the page is built and tested: one folder of static files that work under any path prefix. */

import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const coreTests = "src/{core,protocol}/**/*.test.ts";

export default defineConfig({
  base: "./",
  plugins: [react()],
  build: {
    outDir: "../src/wormux/server/page",
    emptyOutDir: true,
    target: "es2022",
    sourcemap: false,
    chunkSizeWarningLimit: 1024,
    // The content security policy allows neither inline scripts nor data: addresses.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    // The licences of what is bundled ask to be handed on with it.
    license: { fileName: "licenses.md" },
  },
  test: {
    restoreMocks: true,
    unstubGlobals: true,
    projects: [
      { extends: true, test: { name: "core", include: [coreTests], environment: "node" } },
      {
        extends: true,
        test: {
          name: "page",
          include: ["src/**/*.test.{ts,tsx}"],
          exclude: [coreTests],
          environment: "happy-dom",
          // With a global afterEach, Testing Library takes down what a test has rendered.
          globals: true,
          // A test reads the theme to check its contrasts.
          css: { include: /tokens\.css/ },
        },
      },
    ],
  },
});
