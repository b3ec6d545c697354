import type { Job } from "../../api/model";
import { Copy } from "../../parts/copy";
import { JsonText } from "../../parts/json-text";
import { useEnd } from "../../parts/use-end";
import { count } from "../../words";

/** The most letters of a stream that stand in the document: a job may write hundreds of megabytes. */
const MOST = 200_000;

/** What a job has made, and what it writes while it runs. */
export function Output({ job, text }: { job: Job; text: string }) {
  const end = useEnd<HTMLPreElement>(text);
  const shown = text.slice(-MOST);
  if (text === "" && job.state !== "completed") return null;
  return (
    <section>
      <h2>Output</h2>
      {shown.length < text.length && (
        <p class="soft">
          The last {count(MOST)} of {count(text.length)} letters are shown. <Copy text={text}>copy all</Copy>
        </p>
      )}
      {text !== "" && (
        <pre {...end} class="stream" tabIndex={0} role="region" aria-label="Output as it is written">
          {shown}
        </pre>
      )}
      {job.state === "completed" && <JsonText value={job.output} label="Output" />}
    </section>
  );
}
