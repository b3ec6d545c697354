/** The search box: words with qualifiers, as the API's list takes them. */

export interface Search {
  state: string[];
  kind: string[];
  queue: string[];
  parent: string[];
  labels: Record<string, string>;
  q: string;
}

export const QUALIFIERS = ["state:", "kind:", "queue:", "parent:", "label."] as const;

/** Reads `state:failed queue:mail label.tenant:7 "out of memory"`. */
export function parseSearch(text: string): Search {
  const search: Search = { state: [], kind: [], queue: [], parent: [], labels: {}, q: "" };
  const words: string[] = [];
  for (const [, quoted, bare] of text.matchAll(/"([^"]*)"?|(\S+)/g)) {
    const word = quoted ?? bare ?? "";
    const colon = word.indexOf(":");
    const [name, value] = quoted === undefined && colon > 0 ? [word.slice(0, colon), word.slice(colon + 1)] : ["", ""];
    if (name === "state" || name === "kind" || name === "queue" || name === "parent") search[name].push(value);
    else if (name.startsWith("label.")) search.labels[name.slice("label.".length)] = value;
    else if (word !== "") words.push(word);
  }
  search.q = words.join(" ");
  return search;
}

/** The parameters of the list. */
export function queryOf(search: Search): URLSearchParams {
  const query = new URLSearchParams();
  for (const name of ["state", "kind", "queue", "parent"] as const) {
    for (const value of search[name]) query.append(name, value);
  }
  for (const [label, value] of Object.entries(search.labels)) query.append("label", `${label}:${value}`);
  if (search.q !== "") query.append("q", search.q);
  return query;
}

/** The filter of a bulk action. What the search leaves open is left out: an empty list would fit nothing. */
export function filterOf(search: Search): Record<string, unknown> {
  const { labels, q } = search;
  const lists = (["state", "kind", "queue", "parent"] as const).filter((name) => search[name].length > 0);
  return {
    ...Object.fromEntries(lists.map((name) => [name, search[name]])),
    ...(Object.keys(labels).length > 0 && { labels }),
    ...(q !== "" && { q }),
  };
}

/** The text with one qualifier set to a value, or taken out. */
export function withQualifier(text: string, name: string, value: string | undefined): string {
  const rest = text.split(/\s+/).filter((word) => word !== "" && !word.startsWith(`${name}:`));
  return (value === undefined ? rest : [`${name}:${value}`, ...rest]).join(" ");
}
