// Debian's Chromium, and pages of the dashboard that note what the browser complains of.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before } from "node:test";
import { chromium } from "playwright-core";
import { Server } from "../../clients/js/tests/server.mjs";

const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
/** Long enough for a busy machine. */
export const options = { timeout: 300_000 };
const PATIENCE = Number(process.env.PATIENCE ?? 60_000);

let browser;
before(async () => {
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: QUIET });
});
after(() => browser.close());

/** A server of the test's own. */
export const serve = (t, settings) => Server.start(t, settings);

/** A browser of its own, with its own cookies, and a page in it. */
export async function visit(t, server, { width = 1440, colorScheme = "light" } = {}) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
  t.after(() => context.close());
  await context.addInitScript(keepNotices);
  return new Visitor(context, await context.newPage(), server);
}

/** Runs in each page before its own scripts: keeps what the page tells of what was done, which it shows for some seconds only. */
function keepNotices() {
  globalThis.notices = [];
  const look = () => {
    const text = document.querySelector("output.notice")?.textContent ?? "";
    if (text !== "" && text !== look.last) globalThis.notices.push(text);
    look.last = text;
  };
  new MutationObserver(look).observe(document, { childList: true, characterData: true, subtree: true });
}

export class Visitor {
  /** What the console and the page complained of. */
  complaints = [];

  constructor(context, page, server) {
    this.context = context;
    this.page = page;
    this.server = server;
    page.setDefaultTimeout(PATIENCE);
    page.on("console", (message) => this.complaints.push(message.text()));
    page.on("pageerror", (error) => this.complaints.push(error.message));
  }

  /** Another tab of the same browser. */
  async tab() {
    return new Visitor(this.context, await this.context.newPage(), this.server);
  }

  open(path) {
    return this.page.goto(`${this.server.url}/admin${path}`);
  }

  button(name, within = this.page) {
    return within.getByRole("button", { name, exact: true });
  }

  /** The dialog of an action: waits for its title, and for the button that does it. */
  async confirm(title, verb) {
    const dialog = this.page.getByRole("dialog");
    await dialog.getByRole("heading", { name: title }).waitFor();
    await this.button(verb, dialog).click();
    await dialog.waitFor({ state: "detached" });
  }

  /** Waits until the page has told these words, or some that fit, of what was done. Each notice counts once, and those before it are over. */
  async told(words) {
    await this.page.waitForFunction((words) => {
      const at = globalThis.notices.findIndex((notice) => (typeof words === "string" ? notice === words : words.test(notice)));
      return at >= 0 && globalThis.notices.splice(0, at + 1).length > 0;
    }, words);
  }

  /** Searches jobs, and waits until this many are listed. */
  async search(text, count) {
    await this.page.getByRole("combobox", { name: "Search" }).fill(text);
    await this.page.getByRole("combobox", { name: "Search" }).press("Enter");
    await this.listed(count);
  }

  /** Waits until a list has this many jobs, all of which are in view of the window. */
  async listed(count) {
    await this.page.waitForFunction((count) => document.querySelectorAll("tr[data-id]").length === count && document.querySelector(".bound") !== null, count);
  }

  /** Findings of axe that are serious or worse. It runs by the debugger, which the page's policy does not bind. */
  async violations() {
    const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
    const session = await this.context.newCDPSession(this.page);
    await session.send("Page.setBypassCSP", { enabled: true });
    await this.page.evaluate(axe);
    const { violations } = await this.page.evaluate(() => globalThis.axe.run());
    await session.send("Page.setBypassCSP", { enabled: false });
    const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    return serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  }

  /** Fails where the browser complained. */
  isQuiet() {
    assert.deepEqual(this.complaints, []);
  }
}
