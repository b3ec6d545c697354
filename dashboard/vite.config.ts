import preact from "@preact/preset-vite";
import { defineConfig } from "vite";

export default defineConfig(({ command }) => ({
  plugins: [preact()],
  // Built paths are relative to the page's <base>, which the server writes: a proxy may serve the dashboard anywhere.
  base: command === "serve" ? "/admin/" : "./",
  build: {
    outDir: "../crates/longhaul-server/dashboard",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
  server: { proxy: { "/api": "http://127.0.0.1:8000" } },
}));
