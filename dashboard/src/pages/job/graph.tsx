import type { Graph as Shape } from "../../api/model";
import { StateBadge } from "../../parts/state";
import { ToJob } from "../../parts/to";
import { count, jobs, tail } from "../../words";
import { layered, type Placed } from "./layers";

/** The size of a job, and the room between two, in pixels. */
const WIDTH = 168;
const HEIGHT = 48;
const APART = 44;
const BELOW = 12;

const left = ({ column }: Placed) => column * (WIDTH + APART);
const top = ({ row }: Placed) => row * (HEIGHT + BELOW);

/** What a job waits for and what waits for it, from left to right. */
export function Graph({ id, graph }: { id: string; graph: Shape }) {
  if (graph.nodes.length < 2) return null;
  const { nodes, edges, columns, rows, left: hidden } = layered(graph);
  const [width, height] = [columns * (WIDTH + APART) - APART, rows * (HEIGHT + BELOW) - BELOW];
  return (
    <section>
      <h2>Graph</h2>
      <div class="graph" tabIndex={0} role="region" aria-label="Graph">
        <div style={{ width: `${width}px`, height: `${height}px` }}>
          <svg width={width} height={height} aria-hidden="true">
            {edges.map(({ from, to, on_failure }) => (
              <path key={`${from.node.id} ${to.node.id}`} d={curve(from, to)} class={on_failure} />
            ))}
          </svg>
          <ul>
            {nodes.map((placed) => (
              <li key={placed.node.id} class={placed.node.id === id ? "own" : ""} style={{ left: `${left(placed)}px`, top: `${top(placed)}px` }}>
                <ToJob id={placed.node.id} title={`${placed.node.kind} ${placed.node.id}`}>
                  <span class="kind">
                    {placed.node.kind} <code>{tail(placed.node.id)}</code>
                  </span>
                  <StateBadge state={placed.node.state} />
                </ToJob>
              </li>
            ))}
          </ul>
        </div>
      </div>
      <p class="soft">
        Each job waits for those left of it. Along a dashed line it runs however the other ends; along a solid one it is cancelled where that fails.
        {(hidden > 0 || !graph.complete) && ` ${graph.complete ? jobs(graph.nodes.length) : `${count(graph.nodes.length)} jobs or more`} are connected; the nearest ${count(nodes.length)} are drawn.`}
      </p>
    </section>
  );
}

function curve(from: Placed, to: Placed): string {
  const [x, y] = [left(from) + WIDTH, top(from) + HEIGHT / 2];
  const [endX, endY] = [left(to), top(to) + HEIGHT / 2];
  const bend = Math.max(APART / 2, (endX - x) / 2);
  return `M${x} ${y} C${x + bend} ${y} ${endX - bend} ${endY} ${endX} ${endY}`;
}
