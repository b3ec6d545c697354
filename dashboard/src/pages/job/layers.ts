import type { Graph, GraphNode } from "../../api/model";

/** A job of a drawn graph, and where it stands. */
export interface Placed {
  node: GraphNode;
  /** From the left: what waits for nothing is first. */
  column: number;
  row: number;
}

export interface Drawn {
  nodes: Placed[];
  edges: { from: Placed; to: Placed; on_failure: "cancel" | "run" }[];
  columns: number;
  rows: number;
  /** Jobs that are not drawn, because their column is full or they are too far away. */
  left: number;
}

/** The most jobs below each other, and beside each other. */
const MOST_ROWS = 12;
const MOST_COLUMNS = 30;

/** A graph in columns: each job stands right of all that it waits for. Where there are too many, the nearest to the first are drawn. */
export function layered({ nodes, edges }: Graph): Drawn {
  const depth = depths(nodes, edges);
  const own = depth.get(nodes[0]?.id ?? "") ?? 0;
  const first = Math.max(0, own - MOST_COLUMNS / 2);
  const columns = new Map<number, GraphNode[]>();
  // They come by distance from the first.
  for (const node of nodes) {
    const column = (depth.get(node.id) ?? 0) - first;
    if (column < 0 || column >= MOST_COLUMNS) continue;
    const others = columns.get(column) ?? [];
    columns.set(column, others);
    if (others.length < MOST_ROWS) others.push(node);
  }
  const placed = new Map<string, Placed>();
  const used = [...columns.keys()].sort((one, other) => one - other);
  const sources = new Map<string, string[]>();
  for (const { from, to } of edges) sources.set(to, [...(sources.get(to) ?? []), from]);
  for (const column of used) {
    const weight = (node: GraphNode) => mean((sources.get(node.id) ?? []).flatMap((id) => placed.get(id)?.row ?? []));
    const ordered = (columns.get(column) ?? []).map((node, place) => ({ node, weight: weight(node) ?? place }));
    ordered.sort((one, other) => one.weight - other.weight);
    ordered.forEach(({ node }, row) => placed.set(node.id, { node, column: column - (used[0] ?? 0), row }));
  }
  const drawn = edges.flatMap(({ from, to, on_failure }) => {
    const ends = [placed.get(from), placed.get(to)] as const;
    return ends[0] === undefined || ends[1] === undefined ? [] : [{ from: ends[0], to: ends[1], on_failure }];
  });
  const all = [...placed.values()];
  return {
    nodes: all,
    edges: drawn,
    columns: 1 + Math.max(0, ...all.map(({ column }) => column)),
    rows: 1 + Math.max(0, ...all.map(({ row }) => row)),
    left: nodes.length - all.length,
  };
}

const mean = (numbers: number[]) => (numbers.length === 0 ? undefined : numbers.reduce((sum, number) => sum + number, 0) / numbers.length);

/** The longest way to each job from one that waits for nothing. */
function depths(nodes: GraphNode[], edges: Graph["edges"]): Map<string, number> {
  const depth = new Map(nodes.map(({ id }) => [id, 0]));
  const waits = new Map(nodes.map(({ id }) => [id, 0]));
  const next = new Map<string, string[]>();
  for (const { from, to } of edges) {
    waits.set(to, (waits.get(to) ?? 0) + 1);
    const others = next.get(from) ?? [];
    others.push(to);
    next.set(from, others);
  }
  const free = nodes.filter(({ id }) => waits.get(id) === 0).map(({ id }) => id);
  for (let id = free.pop(); id !== undefined; id = free.pop()) {
    for (const to of next.get(id) ?? []) {
      depth.set(to, Math.max(depth.get(to) ?? 0, (depth.get(id) ?? 0) + 1));
      const left = (waits.get(to) ?? 0) - 1;
      waits.set(to, left);
      if (left === 0) free.push(to);
    }
  }
  return depth;
}
