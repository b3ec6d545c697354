import { useLocation } from "preact-iso";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Notices } from "./acts/notices";
import { base } from "./api/call";
import { Help, isHelpOpen } from "./help";
import { useKeys } from "./keys";
import { isLive } from "./live/feed";
import { addressOf, To } from "./parts/to";
import { hasSignedIn, me, signOut } from "./session";
import { nextTheme, theme } from "./theme";

const PAGES = [
  ["", "Overview", "o"],
  ["jobs", "Jobs", "j"],
  ["queues", "Queues", "q"],
  ["errors", "Errors", "e"],
  ["schedules", "Schedules", "s"],
  ["workers", "Workers", "w"],
  ["kinds", "Kinds", "k"],
  ["batches", "Batches", "b"],
  ["access", "Access", "a"],
] as const;

/** What stands around every page: where one may go, who looks, whether changes are told. */
export function Frame({ children }: { children: ComponentChildren }) {
  const { path, route } = useLocation();
  const page = path.slice(base.length).split("/")[0] ?? "";
  const pages = useRef<HTMLElement>(null);
  // On a narrow screen the names of the pages are a line that scrolls.
  useEffect(() => pages.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }), [page]);
  useKeys({
    "?": () => (isHelpOpen.value = true),
    "/": () => {
      const box = document.querySelector<HTMLInputElement>("[data-search]");
      if (box === null) route(addressOf("jobs"));
      else box.select();
    },
    ...Object.fromEntries(PAGES.map(([name, , letter]) => [`g ${letter}`, () => route(addressOf(name))])),
  });
  return (
    <>
      <a class="skip" href="#content">
        Skip to the content
      </a>
      <header>
        <To page="" class="brand">
          <Mark /> Longhaul
        </To>
        <nav aria-label="Pages" ref={pages}>
          {PAGES.map(([name, title]) => (
            <To key={name} page={name} aria-current={name === page ? "page" : undefined}>
              {title}
            </To>
          ))}
        </nav>
        <div class="session">
          <span class={isLive.value ? "feed live" : "feed"} title={isLive.value ? "Changes are shown as they happen" : "Read every few seconds"}>
            {isLive.value ? "live" : "polling"}
          </span>
          <button type="button" class="quiet" onClick={() => (theme.value = nextTheme(theme.value))} aria-label={`Theme: ${theme.value}`} title={`Theme: ${theme.value}`}>
            <svg class="half" viewBox="0 0 16 16" aria-hidden="true">
              <circle cx="8" cy="8" r="6.25" />
              <path d="M8 1.75a6.25 6.25 0 0 1 0 12.5z" />
            </svg>
          </button>
          <button type="button" class="quiet" onClick={() => (isHelpOpen.value = true)} aria-label="Keys" title="Keys">
            <kbd>?</kbd>
          </button>
          <Who />
        </div>
      </header>
      <main id="content" tabIndex={-1}>
        {children}
      </main>
      <Notices />
      {isHelpOpen.value && <Help />}
    </>
  );
}

/** Who looks, and as what. Whoever has shown a token can sign out. */
function Who() {
  const who = me.value;
  if (who == null) return null;
  return (
    <>
      <span class="role">{who.name == null ? who.role : `${who.name}, ${who.role}`}</span>
      {hasSignedIn.value && (
        <button type="button" class="quiet" onClick={() => void signOut()}>
          sign out
        </button>
      )}
    </>
  );
}

/** The mark of the icon, in the text's own colour. */
function Mark() {
  return (
    <svg class="mark" viewBox="0 0 16 16" aria-hidden="true">
      <rect width="16" height="16" rx="4" />
      <path d="M4.5 4v7.5H12" />
    </svg>
  );
}
