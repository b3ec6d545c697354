import { useEffect, useRef } from "preact/hooks";
import type { Job } from "../../api/model";
import { JsonText } from "../../parts/json-text";

/** What a job has made, and what it writes while it runs. */
export function Output({ job, text }: { job: Job; text: string }) {
  const stream = useRef<HTMLPreElement>(null);
  const isAtEnd = useRef(true);
  // The end stays in view while words come, unless somebody has scrolled away from it.
  useEffect(() => {
    if (isAtEnd.current && stream.current !== null) stream.current.scrollTop = stream.current.scrollHeight;
  }, [text]);
  if (text === "" && job.state !== "completed") return null;
  return (
    <section>
      <h2>Output</h2>
      {text !== "" && (
        <pre
          ref={stream}
          class="stream"
          tabIndex={0}
          role="region"
          aria-label="Output as it is written"
          onScroll={({ currentTarget: box }) => {
            isAtEnd.current = box.scrollHeight - box.scrollTop - box.clientHeight < 24;
          }}
        >
          {text}
        </pre>
      )}
      {job.state === "completed" && <JsonText value={job.output} label="Output" />}
    </section>
  );
}
