import { Copy } from "../parts/copy";
import type { Commands } from "./commands";

/** The commands that do the same, for the next time. */
export function CommandLines({ commands: { longhaul, curl } }: { commands: Commands }) {
  return (
    <dl class="commands">
      {longhaul !== undefined && <CommandLine title="In a terminal" command={longhaul} />}
      <CommandLine title="Over HTTP" command={curl} />
    </dl>
  );
}

function CommandLine({ title, command }: { title: string; command: string }) {
  return (
    <div>
      <dt>{title}</dt>
      <dd>
        <code tabIndex={0} role="region" aria-label={title}>
          {command}
        </code>
        <Copy text={command} label={`Copy: ${title}`}>
          copy
        </Copy>
      </dd>
    </div>
  );
}
