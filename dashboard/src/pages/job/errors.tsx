import type { Job } from "../../api/model";
import { Time } from "../../parts/time";

/** The failed attempts, newest first, each error with its causes. */
export function Errors({ job }: { job: Job }) {
  if (job.errors.length === 0) return null;
  const newest = job.errors.toReversed();
  return (
    <section>
      <h2>Failed attempts</h2>
      <ol class="errors">
        {newest.map((error, at) => (
          <li key={`${error.attempt} ${error.at}`}>
            <details open={at === 0}>
              <summary>
                Attempt {error.attempt}, {error.kind}, <Time at={error.at} />
              </summary>
              <Chain message={error.message} />
            </details>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** The engine writes an error and its causes in one line, `what: why: why`. */
function Chain({ message }: { message: string }) {
  const [what, ...causes] = message.includes("\n") ? [message] : chain(message);
  return (
    <div class="chain">
      <pre class="error">{what}</pre>
      {causes.map((cause, at) => (
        <pre key={at}>
          <span>because</span> {cause}
        </pre>
      ))}
    </div>
  );
}

const OPENING = "([{";
const CLOSING = ")]}";

/** The parts of a message between `: `; what stands in quotes or brackets is one part. */
function chain(message: string): string[] {
  const parts: string[] = [];
  let begin = 0;
  let depth = 0;
  let quote = "";
  for (let at = 0; at < message.length; at++) {
    const letter = message.charAt(at);
    if (quote !== "") quote = letter === quote ? "" : quote;
    else if (letter === '"' || letter === "`") quote = letter;
    else if (OPENING.includes(letter)) depth++;
    else if (CLOSING.includes(letter)) depth--;
    else if (depth === 0 && message.startsWith(": ", at) && at > begin) {
      parts.push(message.slice(begin, at));
      begin = at + 2;
    }
  }
  return [...parts, message.slice(begin)];
}
