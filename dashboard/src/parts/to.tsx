import type { ComponentChildren } from "preact";
import { base } from "../api/call";

/** The address of a page of the dashboard, with what its query says. Empty values are left out. */
export function addressOf(page: string, query: Record<string, string | number | undefined> = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return `${base}${page}${search === "" ? "" : `?${search}`}`;
}

interface Props {
  page: string;
  query?: Record<string, string | number | undefined>;
  children: ComponentChildren;
  class?: string;
  title?: string;
  "aria-current"?: "page" | "true" | undefined;
  "aria-label"?: string;
}

/** A link to a page of the dashboard. */
export function To({ page, query, children, ...rest }: Props) {
  return (
    <a href={addressOf(page, query)} {...rest}>
      {children}
    </a>
  );
}

/** A link to a job. */
export function ToJob({ id, children, ...rest }: { id: string; children: ComponentChildren; class?: string; title?: string }) {
  return (
    <To page={`jobs/${encodeURIComponent(id)}`} {...rest}>
      {children}
    </To>
  );
}
