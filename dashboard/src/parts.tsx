import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { base, Exact, Problem, signIn, type State } from "./api";
import { ago } from "./words";

/** A link to a page of the dashboard. */
export function To({ page, children, ...rest }: { page: string; children: ComponentChildren; class?: string; "aria-current"?: "page" }) {
  return (
    <a href={base + page} {...rest}>
      {children}
    </a>
  );
}

export function StateBadge({ state }: { state: State }) {
  return <span class={`state ${state}`}>{state}</span>;
}

/** A time in words, exact where the pointer rests; it stays true while the page is open. */
export function Time({ at }: { at: string | null }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 10_000);
    return () => clearInterval(timer);
  }, []);
  if (at === null) return <>—</>;
  return (
    <time dateTime={at} title={new Date(at).toLocaleString()}>
      {ago(at, now)}
    </time>
  );
}

/** The trouble with the last reading. What was read before stays on the page. */
export function Trouble({ error }: { error: Error | undefined }) {
  if (error === undefined) return null;
  if (error instanceof Problem && error.status === 401) return <SignIn />;
  const words = error instanceof Problem && error.status === 403 ? "Your token may not see this." : error.message;
  return (
    <p class="trouble" role="alert">
      {words}
    </p>
  );
}

/** Asks for a token. It is kept for this tab only, and sent to this server only. */
function SignIn() {
  return (
    <form
      class="trouble"
      onSubmit={(event) => {
        event.preventDefault();
        signIn(String(new FormData(event.currentTarget).get("token") ?? "").trim());
        location.reload();
      }}
    >
      <label>
        This server wants a token: LONGHAUL_ADMIN_TOKEN, or one of <code>longhaul token --admin</code>
        <input name="token" type="password" autocomplete="current-password" required />
      </label>
      <button>Sign in</button>
    </form>
  );
}

export function Progress({ percent, label }: { percent: number; label: string }) {
  return (
    <span class="bar">
      <progress max={100} value={percent} aria-label={label} /> {Math.round(percent)} %
    </span>
  );
}

/** JSON as text, with integers of any size as they were written. Nothing in it is executed or coloured. */
export function JsonText({ value }: { value: unknown }) {
  return <pre class="json">{written(value, "")}</pre>;
}

function written(value: unknown, indent: string): string {
  if (value instanceof Exact) return value.source;
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
    const deeper = `${indent}  `;
    return `[\n${value.map((one) => deeper + written(one, deeper)).join(",\n")}\n${indent}]`;
  }
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value);
    if (members.length === 0) return "{}";
    const deeper = `${indent}  `;
    return `{\n${members.map(([name, one]) => `${deeper}${JSON.stringify(name)}: ${written(one, deeper)}`).join(",\n")}\n${indent}}`;
  }
  return JSON.stringify(value) ?? "null";
}

/** Copies a text, and says that it did. */
export function Copy({ text, children }: { text: string; children: ComponentChildren }) {
  const [isCopied, setCopied] = useState(false);
  return (
    <button
      type="button"
      class="quiet"
      onClick={() => {
        void navigator.clipboard.writeText(text).then(() => setCopied(true));
        setTimeout(() => setCopied(false), 2_000);
      }}
    >
      {isCopied ? "copied" : children}
    </button>
  );
}

/** A question before something that cannot be undone. The command that does the same is shown, for the next time. */
export function Confirm({
  question,
  command,
  verb,
  onAnswer,
}: {
  question: string;
  command: string;
  verb: string;
  onAnswer: (isYes: boolean) => void;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} onClose={() => onAnswer(dialog.current?.returnValue === "yes")} aria-labelledby="question">
      <form method="dialog">
        <h2 id="question">{question}</h2>
        <pre class="json">{command}</pre>
        <p class="actions">
          <button value="no">Leave it</button>
          <button value="yes" class="danger">
            {verb}
          </button>
        </p>
      </form>
    </dialog>
  );
}
