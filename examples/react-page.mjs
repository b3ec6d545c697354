// A page that runs a job and shows it live. Without a build step, so that a browser and Node run it as it is; with one,
// write the same as JSX.
import { createElement as h } from "react";
import { useRun } from "@longhaul/react";

export function Story() {
  const { run, text, progress, state, failure } = useRun("story");
  const write = (event) => {
    event.preventDefault();
    run({ about: new FormData(event.target).get("about") });
  };
  return h(
    "main",
    null,
    h(
      "form",
      { onSubmit: write },
      h("label", null, "About ", h("input", { name: "about", defaultValue: "whales" })),
      h("button", { disabled: state === "running" }, "Write"),
    ),
    h("progress", { value: progress?.percent ?? 0, max: 100, "aria-label": "how far it is" }),
    // A reset, after an attempt that failed, empties the text by itself.
    h("p", { "aria-live": "polite" }, failure ? failure.message : text),
    h("p", { className: "state" }, state ?? "nothing was asked for"),
  );
}
