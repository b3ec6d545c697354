// The budget of what a browser loads, gzipped: at most 60 KB for the first page and 150 KB for all.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const built = "../crates/longhaul-server/dashboard";
const sizeOf = (path) => gzipSync(readFileSync(path), { level: 9 }).length;
const html = readFileSync(`${built}/index.html`, "utf8");
const first = [...html.matchAll(/(?:src|href)="\.\/(assets\/[^"]+)"/g)].map(([, path]) => `${built}/${path}`);
const all = readdirSync(`${built}/assets`).map((name) => `${built}/assets/${name}`);
const [firstBytes, allBytes] = [first, all].map((paths) => paths.reduce((sum, path) => sum + sizeOf(path), sizeOf(`${built}/index.html`)));
console.log(`first page ${(firstBytes / 1000).toFixed(1)} KB, all ${(allBytes / 1000).toFixed(1)} KB, gzipped`);
if (firstBytes > 60_000 || allBytes > 150_000) {
  console.error("the budget is 60 KB for the first page and 150 KB for all");
  process.exit(1);
}
