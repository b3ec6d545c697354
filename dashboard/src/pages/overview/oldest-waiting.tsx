import type { Stats } from "../../api/model";

export function OldestWaiting({ stats }: { stats: Stats | undefined }) {
  return <pre>{JSON.stringify(stats?.oldest_waiting)}</pre>;
}
